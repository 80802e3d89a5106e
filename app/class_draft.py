"""The edited class list of a run and the settings for its successor, kept as plain files.

Under `drafts/RUN/` of the data folder: `classes.txt` (one name a row, as typed), `before.txt` (the list that the last
whole replacement took away) and `settings.json` (what was chosen for the new run).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from negrefine_core import paths
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

CLASSES, BEFORE, SETTINGS = "classes.txt", "before.txt", "settings.json"


def names(run: Run) -> list[str]:
    """The draft; the run's own classes where there is none."""
    return _read(run, CLASSES) or run.id_labels


def edit(run: Run, rows: Sequence[str]) -> None:
    """Keep an edited list."""
    if list(rows) != names(run):
        _write(run, CLASSES, rows)


def replace(run: Run, rows: Sequence[str]) -> None:
    """Keep another list, and the one that it replaces."""
    _write(run, BEFORE, names(run))
    _write(run, CLASSES, rows)


def can_undo(run: Run) -> bool:
    return _path(run, BEFORE).exists()


def undo(run: Run) -> None:
    """Back to the list before the last replacement; undone again, forward."""
    replace(run, _read(run, BEFORE) or run.id_labels)


def discard(run: Run) -> None:
    """Back to the run's own classes and settings."""
    replace(run, run.id_labels)
    _path(run, SETTINGS).unlink(missing_ok=True)


def chosen(run: Run) -> dict[str, Any]:
    """The new run's name and settings, as far as a person chose them."""
    try:
        return dict(json.loads(_path(run, SETTINGS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def choose(run: Run, **values: Any) -> None:
    _keep(run, SETTINGS, json.dumps(chosen(run) | values, indent=1) + "\n")


def _path(run: Run, file: str) -> Path:
    return paths.DATA / "drafts" / run.name / file


def _read(run: Run, file: str) -> list[str]:
    try:
        return _path(run, file).read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError:
        return []


def _write(run: Run, file: str, rows: Sequence[str]) -> None:
    _keep(run, file, "".join(row.replace("\n", " ").replace("\r", " ") + "\n" for row in rows))


def _keep(run: Run, file: str, text: str) -> None:
    try:
        paths.write_atomically(_path(run, file), text.encode(errors="replace"))
    except OSError as error:
        raise NegRefineError(
            f"The draft cannot be kept in {_path(run, file)} ({error.strerror}). Make room or mend its rights."
        ) from error
