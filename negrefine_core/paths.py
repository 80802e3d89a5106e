"""Where the bundled data, the runs and the caches live; `NEGREFINE_DATA` moves the last two elsewhere."""

import os
import tempfile
from pathlib import Path

from platformdirs import user_data_path

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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a run killed half-way, sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def file_state(path: Path) -> tuple[int, int, int]:
    """What tells a file from the one read before: its inode, time of change and size; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def portable(path: str | Path) -> str:
    """A path as a run file keeps it, so that the run can be moved: below `data/` what is bundled, wherever that lies,
    and relative to the clone what else lies there.
    """
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
