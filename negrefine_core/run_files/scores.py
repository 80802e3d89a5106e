"""`scores/IMAGE_SET.parquet`: a row an image, a column a method, and the labels that the image matches best."""

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import NegRefineError


def read_scores(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise NegRefineError(f"{path} is damaged ({error}); score the image set again") from error


def write_scores(path: Path, tables: Iterable[pd.DataFrame]) -> int:
    """Write the tables, chunk by chunk as they come, and return how many rows; none leave no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        partial = Path(folder) / path.name
        count = _write_parquet(partial, tables)
        if count:
            partial.replace(path)
    return count


def _write_parquet(path: Path, tables: Iterable[pd.DataFrame]) -> int:
    schema, count = None, 0
    with contextlib.ExitStack() as stack:
        for table in tables:
            if table.empty:
                continue
            rows = pa.Table.from_pandas(table, preserve_index=False)
            if schema is None:
                schema = _schema(rows)
                writer = stack.enter_context(pq.ParquetWriter(path, schema))
            writer.write_table(rows.cast(schema))
            count += len(table)
    return count


def _schema(rows: pa.Table) -> pa.Schema:
    """The first chunk's; a column of nothing but None may hold text further on."""
    fields = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in rows.schema]
    return pa.schema(fields, rows.schema.metadata)
