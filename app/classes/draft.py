"""The edited class list of a run and the settings for its successor, kept as plain files.

Under `drafts/RUN/` of the data folder: `classes.txt` (one name a row, as typed), `before/` and `after/` (the lists that
Undo and Redo go back to, numbered) and `settings.json` (what was chosen for the new run).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from negrefine_core import paths
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

from .problems import trimmed

CLASSES = "classes.txt"
BEFORE = "before"
AFTER = "after"
SETTINGS = "settings.json"
KEPT = 50  # lists to undo


def names(run: Run) -> list[str]:
    """The draft, which may be empty; the run's own classes where there is none."""
    try:
        return _read(_path(run, CLASSES))
    except OSError:
        return run.id_labels


def edit(run: Run, rows: Sequence[str]) -> None:
    """Keep a changed list, and the one before. Blank rows at the end are no change: each added row begins as one."""
    if trimmed(rows) != trimmed(names(run)):
        _push(run, BEFORE)
        for path in _lists(run, AFTER):
            path.unlink()
    _write(_path(run, CLASSES), rows)


def can_undo(run: Run) -> bool:
    return bool(_lists(run, BEFORE))


def can_redo(run: Run) -> bool:
    return bool(_lists(run, AFTER))


def undo(run: Run) -> None:
    """Take back the last change."""
    _step(run, BEFORE, AFTER)


def redo(run: Run) -> None:
    """Make the change again that was taken back last."""
    _step(run, AFTER, BEFORE)


def discard(run: Run) -> None:
    """Back to the run's own classes and settings; the list can be had again with `undo`."""
    edit(run, run.id_labels)
    for file in (CLASSES, SETTINGS):
        _path(run, file).unlink(missing_ok=True)


def chosen(run: Run) -> dict[str, Any]:
    """The new run's name and settings, as far as a person chose them."""
    try:
        return dict(json.loads(_path(run, SETTINGS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def choose(run: Run, **values: Any) -> None:
    _keep(_path(run, SETTINGS), json.dumps(chosen(run) | values, indent=1) + "\n")


def _lists(run: Run, folder: str) -> list[Path]:
    return sorted(_path(run, folder).glob("*.txt"))


def _push(run: Run, folder: str) -> None:
    """Keep the list as it is now as the last of a folder, and no more than the latest."""
    kept = _lists(run, folder)
    number = int(kept[-1].stem) + 1 if kept else 0
    _write(_path(run, folder) / f"{number:06}.txt", trimmed(names(run)))
    for path in kept[: -KEPT + 1]:
        path.unlink()


def _step(run: Run, source: str, target: str) -> None:
    """Go to the last list of one folder, and keep the one left behind in the other."""
    if lists := _lists(run, source):
        _push(run, target)
        _write(_path(run, CLASSES), _read(lists[-1]))
        lists[-1].unlink()


def _path(run: Run, name: str) -> Path:
    return paths.DATA / "drafts" / run.name / name


def _read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]


def _write(path: Path, rows: Sequence[str]) -> None:
    _keep(path, "".join(row.replace("\n", " ").replace("\r", " ") + "\n" for row in rows))


def _keep(path: Path, text: str) -> None:
    try:
        paths.write_atomically(path, text.encode(errors="replace"))
    except OSError as error:
        raise NegRefineError(
            f"The draft cannot be kept in {path} ({error.strerror}). Make room or mend its rights."
        ) from error
