"""Where the bundled data, the runs and the caches live; `NEGREFINE_DATA` moves the last two elsewhere."""

import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_data_path

from .errors import NegRefineError

PROJECT = Path(__file__).resolve().parent.parent  # the clone, or the folder that the packages are installed in
_INSTALLED = PROJECT / "negrefine_data"  # the clone's data/ under the name that it is installed by
IS_INSTALLED = _INSTALLED.is_dir()

BUNDLED = _INSTALLED if IS_INSTALLED else PROJECT / "data"
_OWN = user_data_path("negrefine", appauthor=False) if IS_INSTALLED else BUNDLED
DATA = Path(os.environ.get("NEGREFINE_DATA", _OWN)).expanduser().resolve()
RUNS = DATA / "runs"
CACHE = DATA / "cache"

DEMO_MODEL = BUNDLED / "models" / "demo"
IMAGES = BUNDLED / "images"
LABELS = BUNDLED / "labels"
LEXICON = BUNDLED / "lexicon"

_TEMPORARY = ".partial-"
_OURS = (
    f"{_TEMPORARY}{re.sub(r'[^A-Za-z0-9]', '', socket.gethostname())[:40]}-"  # and the process: a disk may be shared
)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a run killed half-way, sees the old content or the new, never a part.

    Raises NegRefineError where it cannot be written; the old content stays.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        partial = _beside(path)
        try:
            with partial.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk, a missing right or a folder in the way into one line that says what could not be written."""
    try:
        yield
    except OSError as error:
        raise NegRefineError(
            f"cannot write {path} ({error.strerror or error}); what was there before is kept: mend it and do it again"
        ) from error


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder for what is not whole yet; it goes when it is left, or when the next is made where it was killed."""
    sweep(parent)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f"{_OURS}{os.getpid()}-") as folder:
        yield Path(folder)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder that is filled under another name beside it, and there with all that is in it or not at all."""
    sweep(path.parent)
    folder = _beside(path)
    folder.mkdir()
    try:
        yield folder
        folder.rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Another name in the same folder, which is this process's for a moment."""
    return path.parent / f"{_OURS}{os.getpid()}-{secrets.token_hex(4)}"


def sweep(parent: Path) -> None:
    """Remove what killed processes of this machine left half-written in a folder."""
    for left in parent.glob(f"{_TEMPORARY}*"):
        if left.name.startswith(_OURS) and not _is_alive(left.name.removeprefix(_OURS).partition("-")[0]):
            with suppress(OSError):
                left.unlink() if left.is_file() else shutil.rmtree(left, ignore_errors=True)


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, OverflowError):
        pass  # another user's, or no process at all: none of ours to remove
    return True


def file_state(path: Path) -> tuple[int, int, int]:
    """What tells a file from the one read before: its inode, time of change and size; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def portable(path: str | Path) -> str:
    """A path as a run file keeps it, so that the run can be moved: below `data/` what is bundled, wherever that lies,
    and relative to the clone what else lies there. A storage's URL stays as it is.
    """
    if "://" in str(path):
        return str(path)
    absolute = Path(path).expanduser().resolve()
    if absolute.is_relative_to(BUNDLED):
        return (Path("data") / absolute.relative_to(BUNDLED)).as_posix()
    if absolute.is_relative_to(PROJECT) and not IS_INSTALLED:
        return absolute.relative_to(PROJECT).as_posix()
    return absolute.as_posix()


def from_portable(stored: str) -> Path:
    """The inverse of `portable`."""
    path = Path(stored)
    if path.parts[:1] == ("data",):
        return BUNDLED.joinpath(*path.parts[1:])
    return PROJECT / path
