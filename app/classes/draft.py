"""The edited class list of a run and the settings for its successor, or a list of one's own, kept as plain files.

Under `drafts/RUN/` of the data folder, and `drafts/own classes/` for a list of one's own: `classes.txt` (one a row, as
typed), `before/` and `after/` (the lists that Undo and Redo go back to, numbered) and `settings.json` (what was chosen
for the new run).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from negrefine_core import paths
from negrefine_core.errors import NegRefineError

from .problems import trimmed

CLASSES = "classes.txt"
BEFORE = "before"
AFTER = "after"
SETTINGS = "settings.json"
KEPT = 50  # lists to undo


class Base(Protocol):
    """What a draft starts from: a run, or nothing."""

    @property
    def name(self) -> str: ...
    @property
    def id_labels(self) -> list[str]: ...


@dataclass(frozen=True)
class _Nothing:
    """No classes yet; no run can have this name."""

    name: str = "own classes"
    id_labels: list[str] = field(default_factory=list)


OWN: Base = _Nothing()


def names(base: Base) -> list[str]:
    """The draft, which may be empty; the run's own classes where there is none."""
    try:
        return _read(_path(base, CLASSES))
    except OSError:
        return base.id_labels


def edit(base: Base, rows: Sequence[str]) -> None:
    """Keep a changed list, and the one before. Blank rows at the end are no change: each added row begins as one."""
    if trimmed(rows) != trimmed(names(base)):
        _push(base, BEFORE)
        for path in _lists(base, AFTER):
            path.unlink()
    _write(_path(base, CLASSES), rows)


def can_undo(base: Base) -> bool:
    return bool(_lists(base, BEFORE))


def can_redo(base: Base) -> bool:
    return bool(_lists(base, AFTER))


def undo(base: Base) -> None:
    """Take back the last change."""
    _step(base, BEFORE, AFTER)


def redo(base: Base) -> None:
    """Make the change again that was taken back last."""
    _step(base, AFTER, BEFORE)


def discard(base: Base) -> None:
    """Back to the run's own classes and settings; the list can be had again with `undo`."""
    edit(base, base.id_labels)
    for file in (CLASSES, SETTINGS):
        _path(base, file).unlink(missing_ok=True)


def chosen(base: Base) -> dict[str, Any]:
    """The new run's name and settings, as far as a person chose them."""
    try:
        return dict(json.loads(_path(base, SETTINGS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def choose(base: Base, **values: Any) -> None:
    _keep(_path(base, SETTINGS), json.dumps(chosen(base) | values, indent=1) + "\n")


def _lists(base: Base, folder: str) -> list[Path]:
    return sorted(_path(base, folder).glob("*.txt"))


def _push(base: Base, folder: str) -> None:
    """Keep the list as it is now as the last of a folder, and no more than the latest."""
    kept = _lists(base, folder)
    number = int(kept[-1].stem) + 1 if kept else 0
    _write(_path(base, folder) / f"{number:06}.txt", trimmed(names(base)))
    for path in kept[: -KEPT + 1]:
        path.unlink()


def _step(base: Base, source: str, target: str) -> None:
    """Go to the last list of one folder, and keep the one left behind in the other."""
    if lists := _lists(base, source):
        _push(base, target)
        _write(_path(base, CLASSES), _read(lists[-1]))
        lists[-1].unlink()


def _path(base: Base, name: str) -> Path:
    return paths.DATA / "drafts" / base.name / name


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
