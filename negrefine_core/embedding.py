"""Image sets embedded once: features come from the cache by the pictures' content, new ones are added to it."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .cache import CachedEncoder, FeatureStore
from .encoder import OpenClipEncoder, Progress
from .errors import NegRefineError
from .hyperparameters import WORKERS
from .image_sets import ImageSet, read_image

IMAGE_CHUNK = 1024  # images hashed, looked up and embedded together
IMAGE_BATCH = 64


@dataclass(frozen=True)
class EmbeddedChunk:
    """Features (n, D) of the readable pictures `indices` (n,) of an image set, and the skipped ones with the reason."""

    indices: np.ndarray
    features: Tensor
    skipped: tuple[tuple[int, str], ...]


def embed_images(
    encoder: CachedEncoder, image_set: ImageSet, progress: Progress | None = None, workers: int = WORKERS
) -> Iterator[EmbeddedChunk]:
    """Image features in the set's order, chunk by chunk; new pictures are embedded and kept by their content's hash.

    A picture that cannot be read is skipped with its reason, never fatal. Cancelling between two batches loses
    nothing that was embedded.
    """
    store = FeatureStore(encoder.folder / "images", encoder.dim)
    model = encoder.encoder
    if not isinstance(model, OpenClipEncoder):
        raise TypeError("embedding image files needs an OpenClipEncoder")
    files = [image_set.root / path for path in image_set.paths]
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(files), IMAGE_CHUNK):
            chunk = files[start : start + IMAGE_CHUNK]
            hashes = list(pool.map(_content_hash, chunk))
            reasons = {i: key[1:] for i, key in enumerate(hashes) if key.startswith("!")}
            known = store.find(hashes) >= 0
            todo = [i for i in range(len(chunk)) if not known[i] and i not in reasons]
            done = start + len(chunk) - len(todo)
            for batch, pixels, failed in _decoded_batches(pool, model, chunk, todo):
                reasons.update(failed)
                if batch:
                    store.append([hashes[i] for i in batch], model.encode_pixels(pixels))
                done += len(batch) + len(failed)
                if progress:
                    progress(done, len(files))
            if progress:
                progress(start + len(chunk), len(files))
            rows = store.find(hashes)  # (chunk,)
            kept = np.array([i for i in range(len(chunk)) if i not in reasons], dtype=np.int64)
            skipped = tuple((start + i, reason) for i, reason in sorted(reasons.items()))
            yield EmbeddedChunk(kept + start, store.read(rows[kept]), skipped)


def _content_hash(path: Path) -> str:
    """The content's hash; or "!" and the reason when the file cannot be read at all."""
    try:
        str(path).encode()
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        return f"!{error.strerror or 'cannot be read'}"
    except UnicodeEncodeError:  # and a run's files are UTF-8
        return "!its name is not UTF-8 text; rename it"


def _decoded_batches(
    pool: ThreadPoolExecutor, model: OpenClipEncoder, files: Sequence[Path], todo: Sequence[int]
) -> Iterator[tuple[list[int], Tensor, dict[int, str]]]:
    """(indices, pixels (b, 3, H, W), failures) batch by batch; the next batch decodes while this one is used."""

    def decode(index: int) -> tuple[int, Tensor | None, str]:
        try:
            return index, model.preprocess(read_image(files[index])), ""
        except NegRefineError as error:
            return index, None, str(error)
        except (OSError, ValueError, MemoryError) as error:
            return index, None, f"cannot be read ({str(error) or type(error).__name__})"

    batches = [todo[i : i + IMAGE_BATCH] for i in range(0, len(todo), IMAGE_BATCH)]
    pending = [pool.submit(decode, i) for i in batches[0]] if batches else []
    for following in [*batches[1:], []]:
        if not pending:
            return
        results = [future.result() for future in pending]
        pending = [pool.submit(decode, i) for i in following]
        good = [(i, pixels) for i, pixels, _ in results if pixels is not None]
        stacked = torch.stack([pixels for _, pixels in good]) if good else torch.empty(0)
        yield [i for i, _ in good], stacked, {i: reason for i, pixels, reason in results if pixels is None}
