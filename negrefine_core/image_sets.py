"""Image sets: folders of pictures, listed and read robustly."""

import contextlib
import os
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from .errors import NegRefineError
from .storage import folder_of, is_url, listed

if TYPE_CHECKING:
    from upath import UPath

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # whatever the file is called: no other decoder runs
MAX_PIXELS = 100_000_000  # larger pictures are skipped: decoding one would take over 1 GB
MAX_ELONGATION = 1000  # narrower pictures are skipped: preprocessing scales the short side up to the model's size
_NAME = re.compile(r"[^/\\]{1,80}")  # it names a file in the run
MAX_NAME_BYTES = 200  # of the 255 that a file's name may have, with its ending


@dataclass(frozen=True)
class ImageSet:
    """A named folder of pictures; `paths` are relative to `root`, sorted, with their class folder if there is one."""

    name: str
    root: "Path | UPath"
    paths: tuple[str, ...]

    @property
    def classes(self) -> tuple[str | None, ...]:
        """Each picture's class: the folder directly below the root, None for a picture that lies in the root."""
        return tuple(class_folder(path) for path in self.paths)

    def only(self, folders: Iterable[str], name: str = "") -> "ImageSet":
        """The pictures of some class folders ("": those that lie in none), under another name where one is given.

        Raises NegRefineError where there are none.
        """
        wanted = set(folders)
        paths = tuple(path for path, folder in zip(self.paths, self.classes, strict=True) if (folder or "") in wanted)
        if not paths:
            raise NegRefineError(f"no images under {self.root} in the folders {', '.join(sorted(wanted))}")
        return ImageSet(name or self.name, self.root, paths)

    def __len__(self) -> int:
        return len(self.paths)


def class_folder(path: str) -> str | None:
    """The class of a picture by its path in its set: the first folder, None where it lies in none."""
    return path.split("/", 1)[0] if "/" in path else None


def open_image_set(root: "str | Path | UPath", name: str | None = None) -> ImageSet:
    """List the pictures below a folder, with or without class subfolders. Hidden files are left out.

    The folder may be a storage's: `s3://bucket/folder`, or another URL that `storage` reads.
    Raises NegRefineError when the folder is missing, unreadable or holds no pictures.
    """
    if is_url(str(root)):
        return _open_stored(str(root), name)
    root = Path(str(root)).expanduser().resolve()
    name = check_name(name or root.name)
    try:
        if not root.is_dir():
            raise NegRefineError(f"no folder {root}" + ("; this is a file" if root.exists() else "; check the path"))
        next(root.iterdir(), None)
        found = [path.relative_to(root).as_posix() for path in _pictures(root)]
    except OSError as error:
        raise NegRefineError(f"cannot read the folder {root} ({error.strerror}); check its permissions") from error
    if not found:
        raise NegRefineError(f"no images under {root}; expected {', '.join(EXTENSIONS)}")
    return ImageSet(name, root, tuple(sorted(found)))


def _open_stored(place: str, name: str | None) -> ImageSet:
    root = cast("UPath", folder_of(place))
    try:
        found = [path for path in listed(root) if _is_picture(path)]
    except OSError as error:
        raise NegRefineError(f"cannot read {place} ({error}); check the address and your rights to it") from error
    if not found:
        raise NegRefineError(f"no images under {place}; expected {', '.join(EXTENSIONS)}")
    return ImageSet(check_name(name or root.name or root.drive), root, tuple(sorted(found)))


def _is_picture(path: str) -> bool:
    """By its name; nothing in it is hidden."""
    return Path(path).suffix.lower() in EXTENSIONS and not any(part.startswith(".") for part in path.split("/"))


def _pictures(root: Path) -> Iterator[Path]:
    """Files that go by a picture's name; links to folders are followed, each folder once."""
    entered = set()
    for folder, inside, files in os.walk(root, followlinks=True):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        real = os.path.realpath(folder)
        if real in entered:  # a loop of links
            inside.clear()
            continue
        entered.add(real)
        for name in files:
            if _is_picture(name):
                yield Path(folder, name)


def check_name(name: str) -> str:
    """The name of an image set. Raises NegRefineError where it cannot be one."""
    if name in (".", "..", "average"):
        raise NegRefineError(f"an image set cannot be called {name!r}; choose another name")
    if not is_set_name(name):
        raise NegRefineError(
            f"{ascii(name)[:90]} cannot name an image set; give one without slashes and invisible characters, at most "
            "80 characters"
        )
    return name


def is_set_name(name: str) -> bool:
    """Whether a name can be an image set's: one that stands for itself in a file's name, in UTF-8 and on a page."""
    is_sane = name.isprintable() and name not in (".", "..") and bool(_NAME.fullmatch(name))
    return is_sane and len(name.encode()) <= MAX_NAME_BYTES


def read_image(path: str | Path | IO[bytes]) -> Image.Image:
    """One picture as upright 8-bit RGB: rotated by its EXIF tag, first frame, transparency on white, 16 bits scaled.

    Raises NegRefineError with the reason when the file cannot be read as a picture.
    """
    with _opened(path) as image:
        return upright_rgb(image)


def check_image(path: str | Path | IO[bytes]) -> None:
    """Raise NegRefineError where a file is no picture or is too large, by its first bytes: nothing is decoded."""
    with _opened(path):
        pass


@contextlib.contextmanager
def _opened(path: str | Path | IO[bytes]) -> Iterator[Image.Image]:
    """A picture that is not decoded yet. Whatever goes wrong with it is a NegRefineError with the reason."""
    try:
        with _silence, Image.open(path, formats=FORMATS) as image:
            size = f"{image.width} x {image.height} pixels"
            if image.width * image.height > MAX_PIXELS:
                raise NegRefineError(f"too large: {size}")
            if max(image.size) > MAX_ELONGATION * min(image.size):
                raise NegRefineError(f"too narrow: {size}")
            yield image
    except NegRefineError:
        raise
    except UnidentifiedImageError as error:
        raise NegRefineError("empty file" if _is_empty(path) else "not a picture") from error
    except Image.DecompressionBombError as error:
        raise NegRefineError("too large: over 178 million pixels") from error
    except Exception as error:  # decoders raise many kinds on broken files; none may end a run
        raise NegRefineError(f"cannot be decoded ({str(error) or type(error).__name__})") from error


def _is_empty(path: str | Path | IO[bytes]) -> bool:
    return Path(path).stat().st_size == 0 if isinstance(path, str | Path) else path.seek(0, 2) == 0


class _Silence:
    """No warnings while any thread is inside: Pillow warns of odd metadata that does not change the pixels.

    Not `warnings.catch_warnings` alone: two threads inside would put back each other's filters.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._saved.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.close()


_silence = _Silence()


def upright_rgb(image: Image.Image) -> Image.Image:
    """Upright 8-bit RGB, as `read_image` gives it, of an open picture."""
    image.load()  # some formats tell how they are turned after their pixels
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit and wider greyscale
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 255.0
        image = Image.fromarray((values.clip(0, top) / top * 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies whatever the mode
