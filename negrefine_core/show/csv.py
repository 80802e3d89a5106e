"""A table as CSV."""

import io
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow as pa
from pyarrow import csv

TOGETHER = 1 << 16  # rows that are written at once


def csv_of(table: pd.DataFrame) -> bytes:
    """As pandas writes it but for quotes around texts, in a tenth of the time."""
    rows = pa.Table.from_pandas(table, preserve_index=False)
    for i, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):  # which it writes only as texts
            rows = rows.set_column(i, field.name, rows[i].cast(pa.string()))
    parts = [rows.slice(start, TOGETHER) for start in range(0, max(len(rows), 1), TOGETHER)]
    with ThreadPoolExecutor() as pool:
        written = pool.map(_written, parts, [True] + [False] * (len(parts) - 1))
        return b"".join(written)


def _written(rows: pa.Table, has_names: bool) -> bytes:
    file = io.BytesIO()
    csv.write_csv(rows, file, csv.WriteOptions(include_header=has_names))
    return file.getvalue()
