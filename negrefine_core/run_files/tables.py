"""The CSV files of a run: its lists of negatives, and `skipped.csv` with the images that could not be read."""

import csv
import io
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from ..errors import NegRefineError
from ..paths import file_state, write_atomically
from ..records import Negative

INITIAL, NEGLABEL, FINAL = "initial_negatives.csv", "neglabel_negatives.csv", "negatives.csv"
SKIPPED_COLUMNS = ("image_set", "path", "reason")


def read_negatives(path: Path) -> list[Negative]:
    """Raises NegRefineError where the step that writes this list was not done."""
    if not path.exists():
        step = "refine" if path.name == FINAL else "mine"
        raise NegRefineError(f"the run {path.parent.name!r} has no {path.name} yet; do the step '{step}' first")
    return list(_parsed_negatives(path, file_state(path)))


def write_negatives(path: Path, negatives: Iterable[Negative]) -> None:
    rows = ((negative.label, negative.pos, f"{negative.similarity:.6f}") for negative in negatives)
    _write_csv(path, ("label", "pos", "similarity"), rows)


def read_skipped(path: Path) -> pd.DataFrame:
    """Columns `image_set`, `path` and `reason`; empty where there is no file."""
    if not path.exists():
        return pd.DataFrame(columns=list(SKIPPED_COLUMNS))
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def write_skipped(path: Path, image_set: str, skipped: Iterable[tuple[str, str]]) -> None:
    """Replace the lines of an image set by these (path, reason)."""
    table = read_skipped(path)
    rows = [tuple(row) for row in table[table["image_set"] != image_set].itertuples(index=False)]
    rows += [(image_set, file.encode(errors="backslashreplace").decode(), reason) for file, reason in skipped]
    _write_csv(path, SKIPPED_COLUMNS, sorted(rows))


@lru_cache(maxsize=8)
def _parsed_negatives(path: Path, state: tuple[int, int, int]) -> tuple[Negative, ...]:
    """A list of negatives, parsed again when it was replaced: a decision in the review asks for all of them."""
    del state
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Negative(row["label"], "adjective" if row["pos"] == "adjective" else "noun", float(row["similarity"]))
            for row in csv.DictReader(file)
        )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, buffer.getvalue())
