"""Scores for other tools: one flat table, with what the numbers mean written in it and beside it."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import NegRefineError
from ..methods import measured
from ..paths import temporary_folder, writing
from ..runs import Run

SIGN = "higher = more in-distribution (ID)"
README = """Scores of the run {run!r}, one row an image.

path       the image, below the folder of its image set
image_set  its image set: {sets}
is_id      whether the set shows the ID classes; empty where nobody knows
{methods}

Every score: {sign}.

OpenOOD takes the scores as confidences as they are, with label -1 for OOD images. pytorch-ood takes higher = more OOD:

    OODMetrics().update(torch.tensor(-table["negrefine"].values), torch.tensor(table["is_id"].values.astype(int) - 1))
"""


def export_scores(run: Run, file: str | Path, id_sets: Sequence[str] = (), image_sets: Sequence[str] = ()) -> int:
    """Write a run's scores to FILE, `.parquet` or `.csv`, and what they mean to FILE.README.txt; returns the rows.

    Args:
        id_sets: image sets that show the ID classes; by default those that the run knows of. Of what nobody has said
            anything, `is_id` is empty.
        image_sets: what to export; by default all that is scored.

    Raises NegRefineError for another kind of file, or a run without scores or without a known ID set.
    """
    file = Path(file).expanduser()
    if file.suffix not in (".parquet", ".csv"):
        raise NegRefineError(f"{file.name!r} must end in .parquet or .csv")
    names = list(image_sets or run.scored_sets)
    inside = set(id_sets or run.id_sets)
    if not inside.intersection(names):
        raise NegRefineError(f"no ID set among the scored ones ({', '.join(names) or 'none'}); name it with --id")
    unknown = set(run.unknown_sets) - inside
    parts = [_scores(run, name, None if name in unknown else name in inside) for name in names]
    table = pd.concat(parts, ignore_index=True)
    methods = {method.column: method.name for method in measured(table)}
    width = max(map(len, methods))
    described = "\n".join(f"{column:<{width}}  {method}" for column, method in methods.items())
    note = README.format(run=run.name, sets=", ".join(names), methods=described, sign=SIGN)
    _write(file, table, methods, note)
    return len(table)


def _scores(run: Run, name: str, is_id: bool | None) -> pd.DataFrame:
    scores = run.scores(name)
    columns = [method.column for method in measured(scores)]
    shown = pd.Series(is_id, scores.index, "boolean" if is_id is None else "bool")
    return scores[["path", *columns]].assign(image_set=name, is_id=shown)[["path", "image_set", "is_id", *columns]]


def _write(file: Path, table: pd.DataFrame, methods: dict[str, str], note: str) -> None:
    """Write both files, or neither: they take their places when both are whole, the table last."""
    readme = file.with_name(f"{file.name}.README.txt")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(file.parent) as folder:
            if file.suffix == ".csv":
                table.to_csv(folder / file.name, index=False)
            else:
                _write_parquet(table, folder / file.name, methods)
            (folder / readme.name).write_text(note, encoding="utf-8")
            for path in (readme, file):
                with (folder / path.name).open("rb") as whole:
                    os.fsync(whole.fileno())
                (folder / path.name).replace(path)


def _write_parquet(table: pd.DataFrame, file: Path, methods: dict[str, str]) -> None:
    """The table with the sign in the metadata of the file and of every score's column."""
    rows = pa.Table.from_pandas(table, preserve_index=False)
    fields = [
        field.with_metadata({"method": methods[field.name], "sign": SIGN}) if field.name in methods else field
        for field in rows.schema
    ]
    metadata = {**(rows.schema.metadata or {}), b"sign": SIGN.encode()}
    pq.write_table(rows.cast(pa.schema(fields, metadata)), file)
