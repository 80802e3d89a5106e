"""Sorts pictures by what they look like at a threshold, one of the ID classes or none: as a table and into folders."""

import contextlib
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from .errors import NegRefineError
from .paths import whole_folder, writing
from .pictures import locate
from .records import Mark
from .runs import Run

NONE = "none of the classes"  # the folder of what looks like no ID class
UNNAMED = "one of the classes"  # as a person said, without which
_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
_LONGEST = 80  # characters of a folder's name


def taken_for(scores: pd.DataFrame, score: str, threshold: float) -> pd.Series:
    """The ID class that each picture looks like: its first ID label at or above the threshold, "" below it."""
    accepted = scores[score] >= threshold
    if "id_label" not in scores:
        return scores["id_labels"].str[0].where(accepted, "")
    labels = scores["id_label"].cat
    codes = np.where(accepted, labels.codes, len(labels.categories))
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index([*labels.categories, ""])), index=scores.index)


def _first(scores: pd.DataFrame, lists: str, alone: str) -> pd.Series:
    """The first value of each list, where a table has the lists or these alone."""
    return scores[alone] if alone in scores else scores[lists].str[0]


def sorted_table(
    scores: pd.DataFrame, score: str, threshold: float, marks: Mapping[str, Mark] | None = None
) -> pd.DataFrame:
    """One row a picture, the highest score first: what it looks like, why, and what a person marked it as.

    Columns: `path`, `predicted` (the ID class, "" for none of them), the score under its own name, `threshold`,
    `id_label` and `id_similarity` (its first ID label and 100 x cosine), `negative_label` and `negative_similarity`
    (its first negative label), and `marked` ("ID", "OOD" or "") with `marked_class`, or the class that it was said
    not to be (`marked_not`).
    """
    ranked = scores.sort_values(score, ascending=False, kind="stable")
    found = [(marks or {}).get(path) for path in ranked["path"]]
    return pd.DataFrame(
        {
            "path": ranked["path"].to_numpy(),
            "predicted": taken_for(ranked, score, threshold).to_numpy(),
            score: ranked[score].to_numpy(),
            "threshold": threshold,
            "id_label": _first(ranked, "id_labels", "id_label").to_numpy(),
            "id_similarity": _first(ranked, "id_sims", "id_similarity").to_numpy(),
            "negative_label": _first(ranked, "negative_labels", "negative_label").to_numpy(),
            "negative_similarity": _first(ranked, "negative_sims", "negative_similarity").to_numpy(),
            "marked": [entry.side if entry else "" for entry in found],
            "marked_class": [entry.id_label if entry else "" for entry in found],
            "marked_not": [entry.not_label if entry else "" for entry in found],
        }
    )


def copy_into_folders(run: Run, image_set: str, table: pd.DataFrame, to: Path) -> int:
    """Copy each picture of a sorted table into TO/CLASS/, under its path in its set; returns how many.

    The folder is made whole or not at all. Pictures that are gone are left out.

    Raises NegRefineError where TO is there already or cannot be written.
    """
    to = to.expanduser().absolute()
    with writing(to):
        if to.exists():
            raise NegRefineError(f"{to} is there already; choose a folder that is not, so that nothing is mixed")
        to.parent.mkdir(parents=True, exist_ok=True)
        count = 0
        with whole_folder(to) as folder:
            for file, place in _places(run, image_set, table):
                copy = folder / place
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                count += 1
            if not count:
                raise NegRefineError(f"none of the {len(table):,} pictures of {image_set!r} is in its folder any more")
    return count


def write_zip(run: Run, image_set: str, table: pd.DataFrame, file: IO[bytes]) -> int:
    """The same folders as an archive with the table in it, `sorted.csv`; returns the number of pictures."""
    count = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        archive.writestr("sorted.csv", table.to_csv(index=False))
        for picture, place in _places(run, image_set, table):
            archive.write(picture, place)
            count += 1
    return count


def write_copies(run: Run, images: pd.DataFrame, file: IO[bytes]) -> int:
    """The pictures of a scored table (columns `image_set` and `path`) as an archive, in a folder for each image set
    below their paths, with the table in it, `images.csv`; returns their number. Pictures that are gone are left out."""
    count, folders = 0, folder_names(images["image_set"])
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("images.csv", images.to_csv(index=False))
        for image_set, path in zip(images["image_set"], images["path"], strict=True):
            with contextlib.suppress(NegRefineError):
                archive.write(locate(run, image_set, path), f"{folders[image_set]}/{path}")
                count += 1
    return count


def size(run: Run, image_set: str, paths: Iterable[str]) -> int:
    """The bytes of these pictures of a set, of those that are there."""
    total = 0
    for path in paths:
        with contextlib.suppress(NegRefineError):
            total += locate(run, image_set, path).stat().st_size
    return total


def folder_names(labels: Iterable[str]) -> dict[str, str]:
    """A folder's name for each class, "" included: one that any disk takes, and no two alike."""
    names = {"": NONE}
    taken = {NONE.casefold()}
    for label in sorted(set(labels) - {""}):
        plain = _UNSAFE.sub("_", label)[:_LONGEST].strip(" .") or "class"
        name, number = plain, 2
        while name.casefold() in taken:
            name, number = f"{plain} ({number})", number + 1
        names[label] = name
        taken.add(name.casefold())
    return names


def _places(run: Run, image_set: str, table: pd.DataFrame) -> Iterator[tuple[Path, str]]:
    """(The picture's file, its place CLASS/PATH) of each row whose picture is there; what a person said goes first."""
    is_out, named = table["marked"] == "OOD", table["marked_class"]
    is_wrong = (table["predicted"] == "") | (table["predicted"] == table["marked_not"])
    labels = table["predicted"].mask((table["marked"] == "ID") & is_wrong, UNNAMED)
    labels = labels.mask(named != "", named).mask(is_out, "")
    names = folder_names(labels)
    for path, label in zip(table["path"], labels, strict=True):
        try:
            yield locate(run, image_set, path), f"{names[label]}/{path}"
        except NegRefineError:
            continue
