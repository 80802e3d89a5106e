"""Image sets embedded once: features come from the cache by the pictures' content, new ones are added to it."""

import hashlib
import io
import itertools
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .background import Behind, ahead
from .cache import CachedEncoder
from .encoder import OpenClipEncoder
from .errors import NegRefineError
from .feature_store import FeatureStore, is_usable, room_for
from .hyperparameters import IMAGE_BATCH, READERS, WORKERS
from .image_sets import ImageSet, read_image
from .progress import Progress
from .storage import StorageError, opened

if TYPE_CHECKING:
    from upath import UPath

IMAGE_CHUNK = 512  # images hashed, looked up and embedded together
HASHED_TOGETHER = 8  # files that a worker takes at once: handing them out one by one takes as long as hashing them
HELD = 1 << 18  # bytes: a file of no more is read once, and what it held is decoded
MAX_BYTES = 500_000_000  # larger files are skipped: each is in memory while it is decoded


@dataclass(frozen=True)
class EmbeddedChunk:
    """Features (n, D) of the readable pictures `indices` (n,) of an image set, with the hashes (n,) of what their files
    held, and the skipped ones with the reason.

    `contents` are the hashes of all its pictures, skipped or not, as `content_hashes` gives them.
    """

    indices: np.ndarray
    features: Tensor
    hashes: tuple[str, ...]
    skipped: tuple[tuple[int, str], ...]
    contents: tuple[str, ...]


def embed_images(
    encoder: CachedEncoder, image_set: ImageSet, progress: Progress | None = None, workers: int = WORKERS
) -> Iterator[EmbeddedChunk]:
    """Image features in the set's order, chunk by chunk; new pictures are embedded and kept by their content's hash.

    While the model is at work, the next pictures are hashed, looked up and decoded, and features are written; where
    that leaves the processor free, the next chunk is embedded while one is used. A picture that cannot be read is
    skipped with its reason, never fatal. Cancelling between two batches loses nothing that was embedded.
    """
    model = encoder.encoder
    if not isinstance(model, OpenClipEncoder):
        raise TypeError("embedding image files needs an OpenClipEncoder")
    chunks = _chunks(encoder, model, image_set, progress, workers)
    return ahead(chunks, ready=1) if model.frees_processor else chunks


def _chunks(
    encoder: CachedEncoder, model: OpenClipEncoder, image_set: ImageSet, progress: Progress | None, workers: int
) -> Iterator[EmbeddedChunk]:
    store = FeatureStore(encoder.folder / "images", encoder.dim)
    files = [image_set.root / path for path in image_set.paths]
    done = 0
    is_here = isinstance(image_set.root, Path)
    readers = ThreadPoolExecutor(workers if is_here else max(workers, READERS))
    decoders = ThreadPoolExecutor(workers)
    with readers, decoders, Behind(store.append_all) as behind:
        for batch in ahead(_batches(readers, decoders, model, store, files)):
            chunk = batch.chunk
            chunk.reasons.update(batch.failed)
            if batch.pictures:
                new = model.encode_pixels(batch.pixels)  # (b, D)
                behind.do(([picture.key for picture in batch.pictures], new.numpy()))
                chunk.take(batch.pictures, new)
            done += batch.count
            if progress:
                progress(done, len(files))
            if batch.is_last:
                yield chunk.embedded()


def all_features(encoder: CachedEncoder, image_set: ImageSet) -> tuple[np.ndarray, Tensor]:
    """(Which pictures can be read (n,), their features (n, D)): as `embed_images`, of the whole set. Many are in a file
    without a name that is mapped, not in memory."""
    features, kept, count = torch.from_numpy(room_for(len(image_set), encoder.dim)), [], 0
    for chunk in embed_images(encoder, image_set):
        features[count : count + len(chunk.indices)] = chunk.features
        kept.append(chunk.indices)
        count += len(chunk.indices)
    return np.concatenate([np.empty(0, dtype=np.int64), *kept]), features[:count]


def joined(parts: Sequence[Tensor]) -> Tensor:
    """(B, D) the features of several sets, one after the other; many as `all_features` keeps them."""
    if len(parts) == 1:
        return parts[0]
    features, count = torch.from_numpy(room_for(sum(map(len, parts)), parts[0].shape[1])), 0
    for part in parts:
        for block in torch.split(part, IMAGE_CHUNK):
            features[count : count + len(block)] = block
            count += len(block)
    return features


@dataclass
class _Chunk:
    """Pictures of a set, from its `start`-th on, with what is known of them so far."""

    start: int
    features: Tensor  # (chunk, D)
    reasons: dict[int, str]  # why pictures of the chunk are skipped
    contents: list[str]  # the hash of each, or why its file cannot be read
    new: dict[str, Tensor] = field(default_factory=dict)  # by content: one that is there twice has one feature

    def take(self, pictures: "Sequence[_Decoded]", features: Tensor) -> None:
        """New features (b, D)."""
        for picture, feature, usable in zip(pictures, features, is_usable(features.numpy()).tolist(), strict=True):
            self.contents[picture.index] = picture.key
            self.features[picture.index] = self.new.setdefault(picture.key, feature)
            if not usable:
                self.reasons[picture.index] = "the model gives no feature for it (zero or not a number)"

    def embedded(self) -> EmbeddedChunk:
        kept = np.array([i for i in range(len(self.features)) if i not in self.reasons], dtype=np.int64)
        skipped = tuple((self.start + i, reason) for i, reason in sorted(self.reasons.items()))
        hashes = tuple(self.contents[i] for i in kept)
        return EmbeddedChunk(kept + self.start, self.features[kept], hashes, skipped, tuple(self.contents))


@dataclass(frozen=True)
class _Batch:
    """Pictures of a chunk that the model has yet to see, decoded; the first batch counts those that are known too."""

    chunk: _Chunk
    pictures: "Sequence[_Decoded]" = ()
    pixels: Tensor = field(default_factory=lambda: torch.empty(0))  # (b, H, W, 3)
    failed: Mapping[int, str] = field(default_factory=dict)
    count: int = 0
    is_last: bool = False


def _batches(
    readers: ThreadPoolExecutor,
    decoders: ThreadPoolExecutor,
    model: OpenClipEncoder,
    store: FeatureStore,
    files: Sequence["Path | UPath"],
) -> Iterator[_Batch]:
    """Chunk by chunk: what is known of its pictures, then those that are not, batch by batch."""
    for start in range(0, len(files), IMAGE_CHUNK):
        part = files[start : start + IMAGE_CHUNK]
        listed = content_hashes(readers, part, HELD)
        reasons = {i: hashed.reason for i, hashed in enumerate(listed) if hashed.reason}
        readable = [i for i in range(len(part)) if i not in reasons]
        features = torch.empty(len(part), store.dim)  # (chunk, D)
        found, missing = store.get([listed[i].key for i in readable])
        features[readable] = torch.from_numpy(found)
        contents = [hashed.reason or hashed.key for hashed in listed]
        chunk, todo = _Chunk(start, features, reasons, contents), [readable[i] for i in missing]
        yield _Batch(chunk, count=len(part) - len(todo), is_last=not todo)
        left = len(todo)
        for good, failed in _decoded_batches(decoders, model, part, listed, todo):
            left -= len(good) + len(failed)
            pixels = model.stacked([picture.pixels for picture in good])  # (b, H, W, 3)
            yield _Batch(chunk, good, pixels, failed, len(good) + len(failed), is_last=not left)


@dataclass(frozen=True)
class Content:
    """The hash of a file's content, or the reason why it cannot be read; the content of a small file, if it is held."""

    key: str = ""
    reason: str = ""
    held: bytes = b""


@dataclass(frozen=True)
class _Decoded:
    """A picture of a chunk, with the hash of the very bytes that were decoded: a file may change meanwhile."""

    index: int
    key: str
    pixels: Tensor  # (H, W, 3)


def content_hashes(pool: ThreadPoolExecutor, files: Sequence["Path | UPath"], hold: int = 0) -> list[Content]:
    """One for each file, in their order; files of up to `hold` bytes are held."""

    def hashed(part: Sequence["Path | UPath"]) -> list[Content]:
        return [_content_hash(path, hold) for path in part]

    parts = [files[i : i + HASHED_TOGETHER] for i in range(0, len(files), HASHED_TOGETHER)]
    return list(itertools.chain.from_iterable(pool.map(hashed, parts)))


def _content_hash(path: "Path | UPath", hold: int) -> Content:
    """Reads a file that is not held piece by piece: it may be large, and most files are in the cache."""
    try:
        str(path).encode()
        size = _checked_size(path)
        with opened(path) as file:
            if size > hold:
                return Content(hashlib.file_digest(file, _blake2b).hexdigest())
            content = file.read(size)  # with a larger number than that, Python would make room for it
            return Content(_blake2b(content).hexdigest(), held=content)
    except StorageError:
        raise
    except NegRefineError as error:
        return Content(reason=str(error))
    except OSError as error:
        return Content(reason=error.strerror or "cannot be read")
    except UnicodeEncodeError:  # and a run's files are UTF-8
        return Content(reason="its name is not UTF-8 text; rename it")


def _checked_size(path: "Path | UPath") -> int:
    """A file's bytes. Raises NegRefineError where it is not to be read."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # opening a pipe would wait for ever
        raise NegRefineError("not a file")
    if status.st_size > MAX_BYTES:
        raise NegRefineError(f"too large: {status.st_size:,} bytes, at most {MAX_BYTES:,}")
    return int(status.st_size)


def _blake2b(content: bytes = b"") -> "hashlib.blake2b":
    return hashlib.blake2b(content, digest_size=16)


def _decoded_batches(
    pool: ThreadPoolExecutor,
    model: OpenClipEncoder,
    files: Sequence["Path | UPath"],
    listed: Sequence[Content],
    todo: Sequence[int],
) -> Iterator[tuple[list[_Decoded], dict[int, str]]]:
    """(pictures, failures) batch by batch; the next batch decodes while this one is used."""

    def decode(index: int) -> _Decoded | tuple[int, str]:
        try:
            key, content = listed[index].key, listed[index].held
            if not content:
                content = _read(files[index])
                key = _blake2b(content).hexdigest()
            return _Decoded(index, key, model.preprocess(read_image(io.BytesIO(content))))
        except StorageError:
            raise
        except NegRefineError as error:
            return index, str(error)
        except OSError as error:
            return index, f"cannot be read ({error.strerror or str(error)})"
        except (ValueError, MemoryError) as error:
            return index, f"cannot be read ({str(error) or type(error).__name__})"

    waiting: deque[list[Future[_Decoded | tuple[int, str]]]] = deque()
    for start in range(0, len(todo) + IMAGE_BATCH, IMAGE_BATCH):  # the last time, there is no next batch
        waiting.append([pool.submit(decode, i) for i in todo[start : start + IMAGE_BATCH]])
        if start:
            results = [future.result() for future in waiting.popleft()]
            good = [result for result in results if isinstance(result, _Decoded)]
            yield good, dict(result for result in results if not isinstance(result, _Decoded))


def _read(path: "Path | UPath") -> bytes:
    size = _checked_size(path)
    with opened(path) as file:
        return file.read(size)
