"""Image sets: folders of pictures, read robustly and embedded once."""

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .cache import CachedEncoder, FeatureStore
from .encoder import OpenClipEncoder, Progress
from .errors import NegRefineError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
MAX_PIXELS = 100_000_000  # larger pictures are skipped: decoding one would take over 1 GB
IMAGE_CHUNK = 1024  # images hashed, looked up and embedded together
IMAGE_BATCH = 64


@dataclass(frozen=True)
class ImageSet:
    """A named folder of pictures; `paths` are relative to `root`, sorted, with their class folder if there is one."""

    name: str
    root: Path
    paths: tuple[str, ...]

    @property
    def classes(self) -> tuple[str | None, ...]:
        """Each picture's class: the folder directly below the root, None for a picture that lies in the root."""
        return tuple(path.split("/", 1)[0] if "/" in path else None for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def open_image_set(root: str | Path, name: str | None = None) -> ImageSet:
    """List the pictures below a folder, with or without class subfolders. Hidden files are left out.

    Raises NegRefineError when the folder is missing, unreadable or holds no pictures.
    """
    root = Path(root).expanduser().resolve()
    if not root.is_dir():
        raise NegRefineError(f"no folder {root}" + ("; this is a file" if root.exists() else "; check the path"))
    try:
        found = [
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.suffix.lower() in EXTENSIONS and not any(p.startswith(".") for p in path.relative_to(root).parts)
        ]
        next(root.iterdir(), None)
    except OSError as error:
        raise NegRefineError(f"cannot read the folder {root} ({error.strerror}); check its permissions") from error
    if not found:
        raise NegRefineError(f"no images under {root}; expected {', '.join(EXTENSIONS)}")
    return ImageSet(name or root.name, root, tuple(sorted(found)))


def read_image(path: str | Path) -> Image.Image:
    """One picture as upright 8-bit RGB: rotated by its EXIF tag, first frame, transparency on white, 16 bits scaled.

    Raises NegRefineError with the reason when the file cannot be read as a picture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata that does not change the pixels
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise NegRefineError(f"too large: {image.width} x {image.height} pixels")
                return _to_rgb(ImageOps.exif_transpose(image))
    except NegRefineError:
        raise
    except UnidentifiedImageError as error:
        raise NegRefineError("empty file" if Path(path).stat().st_size == 0 else "not a picture") from error
    except Image.DecompressionBombError as error:
        raise NegRefineError("too large: over 178 million pixels") from error
    except Exception as error:  # decoders raise many kinds on broken files; none may end a run
        raise NegRefineError(f"cannot be decoded ({str(error) or type(error).__name__})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit and wider greyscale
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        image = Image.fromarray((values.clip(0, top) / top * 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


@dataclass(frozen=True)
class EmbeddedChunk:
    """Features (n, D) of the readable pictures `indices` (n,) of an image set, and the skipped ones with the reason."""

    indices: np.ndarray
    features: Tensor
    skipped: tuple[tuple[int, str], ...]


def embed_images(
    encoder: CachedEncoder, image_set: ImageSet, progress: Progress | None = None, workers: int = 4
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
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        return f"!{error.strerror or 'cannot be read'}"


def _decoded_batches(
    pool: ThreadPoolExecutor, model: OpenClipEncoder, files: Sequence[Path], todo: Sequence[int]
) -> Iterator[tuple[list[int], Tensor, dict[int, str]]]:
    """(indices, pixels (b, 3, H, W), failures) batch by batch; the next batch decodes while this one is used."""

    def decode(index: int) -> tuple[int, Tensor | None, str]:
        with contextlib.suppress(OSError):
            try:
                return index, model.preprocess(read_image(files[index])), ""
            except NegRefineError as error:
                return index, None, str(error)
        return index, None, "cannot be read"

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
