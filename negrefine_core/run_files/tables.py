"""The CSV files of a run: its lists of negatives, and `skipped.csv` with the images that could not be read."""

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from ..errors import NegRefineError, UnfinishedError
from ..paths import file_state
from ..records import Negative
from .checks import digest

INITIAL, NEGLABEL, FINAL = "initial_negatives.csv", "neglabel_negatives.csv", "negatives.csv"
STEPS = {INITIAL: "mine", NEGLABEL: "mine", FINAL: "refine"}  # that write these lists
SKIPPED, SKIPPED_COLUMNS = "skipped.csv", ("image_set", "path", "reason")


def read_negatives(path: Path, hashes: Collection[str] = ()) -> list[Negative]:
    """A list whose content has one of these hashes, as far as any are known.

    Raises NegRefineError where the step that writes this list was not done, or the file is damaged.
    """
    step = STEPS[path.name]
    if not path.exists():
        raise UnfinishedError(f"the run {path.parent.name!r} has no {path.name} yet; do the step '{step}' first")
    try:
        found, negatives = _parsed_negatives(path, file_state(path))
    except (OSError, ValueError, LookupError, TypeError, csv.Error) as error:
        raise NegRefineError(f"{path} is damaged ({error}); do the step '{step}' again") from error
    if hashes and found not in hashes:
        raise NegRefineError(f"{path} is not as it was written; do the step '{step}' again")
    return list(negatives)


def negatives_text(negatives: Iterable[Negative]) -> str:
    """The content of a list's file."""
    rows = ((negative.label, negative.pos, f"{negative.similarity:.6f}") for negative in negatives)
    return _csv(("label", "pos", "similarity"), rows)


def read_skipped(path: Path, hashes: Collection[str] = ()) -> list[tuple[str, str, str]]:
    """The (image set, path, reason) of each line; none where there is no file, or its content is none of these.

    Raises NegRefineError where no hash is known and the file cannot be read.
    """
    if not path.exists():
        return []
    try:
        if hashes and (path.is_dir() or digest(path.read_bytes()) not in hashes):
            return []
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return list(table[list(SKIPPED_COLUMNS)].itertuples(index=False, name=None))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise NegRefineError(f"{path} is damaged ({error}); delete it and score the image sets again") from error


def skipped_text(rows: Iterable[tuple[str, str, str]]) -> str:
    """The content of `skipped.csv`."""
    return _csv(SKIPPED_COLUMNS, sorted(rows))


def printable(file: str) -> str:
    """A file's name as UTF-8 text can hold it."""
    return file.encode(errors="backslashreplace").decode()


@lru_cache(maxsize=8)
def _parsed_negatives(path: Path, state: tuple[int, int, int]) -> tuple[str, tuple[Negative, ...]]:
    """(Hash, negatives), parsed again when the file was replaced: a decision in the review asks for all of them."""
    del state
    content = path.read_bytes()
    rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    negatives = tuple(
        Negative(row["label"], "adjective" if row["pos"] == "adjective" else "noun", float(row["similarity"]))
        for row in rows
    )
    return digest(content), negatives


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
