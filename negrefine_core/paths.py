"""Where the bundled data, the runs and the caches live; `NEGREFINE_DATA` moves the last two elsewhere."""

import os
import tempfile
from pathlib import Path

BUNDLED = Path(__file__).resolve().parent.parent / "data"
DATA = Path(os.environ.get("NEGREFINE_DATA", BUNDLED)).expanduser().resolve()
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
    """A path as a run file keeps it: relative to the project when it lies there, so that the run can be moved."""
    absolute = Path(path).expanduser().resolve()
    project = BUNDLED.parent
    return absolute.relative_to(project).as_posix() if absolute.is_relative_to(project) else absolute.as_posix()


def from_portable(stored: str) -> Path:
    """The inverse of `portable`."""
    return BUNDLED.parent / stored
