"""Selections: images or labels that a person chose, on a map, by a search or by hand, to be opened again and compared.

A named one is a file of the run; one without a name is kept in the cache, under an id that says which images it holds.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from . import paths
from .errors import NegRefineError
from .image_sets import is_set_name
from .methods import Method
from .records import now
from .run_files.checks import digest
from .run_files.selections import Selection as Selection
from .run_files.selections import read_selection, write_selection
from .runs import Run

UNNAMED = "~"  # how an id begins
_FOLDER = "selections"


def of_images(images: pd.DataFrame, name: str = "") -> Selection:
    """The images of a scored table (columns `image_set` and `path`), in one order whatever order they come in; without
    a name under the id of what they are."""
    by_set = {
        str(name): tuple(sorted(set(rows["path"].astype(str))))
        for name, rows in images.groupby("image_set", observed=True)
    }
    return Selection(name or UNNAMED + digest(json.dumps(by_set, ensure_ascii=False)), by_set)


def of_labels(labels: Iterable[str]) -> Selection:
    """Mined negatives, under the id of which they are."""
    chosen = tuple(sorted(set(labels)))
    return Selection(UNNAMED + digest(json.dumps(["labels", *chosen], ensure_ascii=False)), {}, chosen)


def keep(run: Run, selection: Selection) -> None:
    """Keep a selection: in the run, or in the cache where it has no name.

    Raises NegRefineError for a name that no file can have, that the run has for other images, or for nothing.
    """
    if not (selection.images or selection.labels):
        raise NegRefineError("there is no image to select; choose some first")
    if is_unnamed(selection.name):
        write_selection(_path(run, selection.name), selection)
        return
    with run.locked():
        path = _path(run, selection.name)
        if path.exists() and read_selection(path).images != selection.images:
            raise NegRefineError(
                f"the run {run.name!r} has a selection {selection.name!r} of other images; choose another name, or "
                "delete that one"
            )
        write_selection(path, replace(selection, time=now()))


def names(run: Run) -> list[str]:
    """The named selections of the run."""
    return sorted(path.stem for path in run.path(_FOLDER).glob("*.json") if _is_name(path.stem))


def read(run: Run, name: str) -> Selection:
    """A selection by its name or id. Raises NegRefineError where there is none, or its file is damaged."""
    if not (is_unnamed(name) or _is_name(name)) or not _path(run, name).exists():
        if is_unnamed(name):
            raise NegRefineError(
                "This choice of images is not kept on this computer any more: choose them again. Those that you save "
                "under a name stay with the run."
            )
        there = ", ".join(names(run)) or "none yet"
        raise NegRefineError(f"The run {run.name!r} has no selection {name[:90]!r}; there are: {there}.")
    return read_selection(_path(run, name))


def rename(run: Run, name: str, new: str) -> None:
    """Raises NegRefineError where there is no such selection, or the new name is another's or none that a file can
    have."""
    with run.locked():
        selection = read(run, name)
        taken = {each.casefold() for each in names(run)}  # some disks tell no capital letters from small ones
        if new.casefold() in taken:
            raise NegRefineError(f"the run {run.name!r} has a selection {new!r}; choose another name")
        write_selection(_file(run, new), replace(selection, name=new))
        remove(run, name)


def remove(run: Run, name: str) -> None:
    """Raises NegRefineError where there is no such selection, or it cannot be deleted."""
    if name not in names(run):
        raise NegRefineError(f"The run {run.name!r} has no selection {name[:90]!r}.")
    with run.locked(), paths.writing(_path(run, name)):
        _path(run, name).unlink(missing_ok=True)


def is_unnamed(name: str) -> bool:
    return name.startswith(UNNAMED) and name[1:].isalnum() and name.isascii()


def chosen(images: pd.DataFrame, selection: Selection) -> pd.Series:
    """(B,) which images of a scored table are in the selection."""
    kept = pd.Series(False, index=images.index)
    for image_set, files in selection.images.items():
        kept |= (images["image_set"] == image_set) & images["path"].isin(files)
    return kept


def compared(first: pd.DataFrame, second: pd.DataFrame, scores: Iterable[Method], at: pd.Series) -> pd.DataFrame:
    """A row a method, on the images of two selections: the median of each, the share of each at or above its threshold
    (`at`, by column), and how often one of the first scores higher than one of the second (AUROC; a tie counts half).
    """
    from .metrics import ood_metrics

    rows = []
    for score in scores:
        sides = [side[score.column].astype(float) for side in (first, second)]
        rows.append(
            {
                "method": score.name,
                **{f"median_{i}": float(side.median()) for i, side in enumerate(sides, 1)},
                **{f"accepted_{i}": float((side >= at[score.column]).mean()) for i, side in enumerate(sides, 1)},
                "auroc": ood_metrics(sides[0], sides[1]).auroc,
            }
        )
    return pd.DataFrame(rows)


def _is_name(name: str) -> bool:
    return is_set_name(name) and not name.startswith((UNNAMED, "."))


def _path(run: Run, name: str) -> Path:
    """Raises NegRefineError for a name that no file can have."""
    return paths.CACHE / _FOLDER / f"{name}.json" if is_unnamed(name) else _file(run, name)


def _file(run: Run, name: str) -> Path:
    """Of a named one. Raises NegRefineError for a name that no file can have."""
    if not _is_name(name):
        raise NegRefineError(
            f"{name[:90]!r} cannot name a selection; give one without slashes, ~ or . at its beginning"
        )
    return run.path(f"{_FOLDER}/{name}.json")
