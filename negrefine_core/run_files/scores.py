"""`scores/IMAGE_SET.parquet`: a row an image, a column a method, the labels that the image matches best, and the hash
of what its file held (`CONTENT`), by which its features are found again without reading it.

The file says in its metadata what it was made from (`ScoresInfo`), and there is the check of all its bytes too.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pandas.api.types import union_categoricals
from pydantic import BaseModel, ConfigDict

from ..errors import NegRefineError
from ..paths import file_state, temporary_folder, writing
from .info import ScoredWith

KEY = b"negrefine:made from"  # our note in the metadata; no column is called so
UNCHECKED = "0" * 16  # stands where the check will, and for it while it is worked out
_CHECK = re.compile(rb'"check": "([0-9a-f]{16})"')
_TAIL = 8  # bytes at the end of a Parquet file: the length of its metadata, and PAR1
_BLOCK = 1 << 20
PART = 8192  # rows that are read together, at most
CONTENT = "content"
FIRSTS = {  # of the lists, and what their first values are called by themselves
    "id_labels": "id_label",
    "id_sims": "id_similarity",
    "negative_labels": "negative_label",
    "negative_sims": "negative_similarity",
}


class ScoresInfo(BaseModel):
    """What an image set's scores were made from; empty where that is not known.

    `root` is the folder of the images, as a run file keeps it; `skipped` are the (path, reason) of unreadable images;
    `parts` are the (check, rows) of the files that hold all rows, where this one is a sample of them; `check` is the
    hash of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_set: str
    root: str
    class_list_hash: str = ""
    fingerprint: str = ""
    scored_with: ScoredWith | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    parts: tuple[tuple[str, int], ...] = ()
    check: str = UNCHECKED


def read_scores(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All columns but `CONTENT`, or these. Raises NegRefineError for a file that is damaged."""
    read_scores_info(path)
    try:
        with pq.ParquetFile(path) as file:
            if columns is None:
                columns = [name for name in file.schema_arrow.names if name != CONTENT]
            table: pd.DataFrame = file.read(columns).to_pandas()
    except Exception as error:  # pyarrow raises many kinds on broken files
        raise _damaged(path, error) from error
    return table


def read_flat_scores(path: Path) -> pd.DataFrame:
    """All columns but `CONTENT` and the lists, of which there is the first value alone, as `FIRSTS` name it: of a
    million images a tenth of the memory. Raises NegRefineError for a file that is damaged."""
    read_scores_info(path)
    try:
        schema = pq.read_schema(path)
        lists = [field.name for field in schema if pa.types.is_list(field.type)]
        labels = {"pair_id", "pair_negative"}.intersection(schema.names)  # are read each name once
        labels |= {f"{name}.list.element" for name in FIRSTS if name in lists}
        with pq.ParquetFile(path, read_dictionary=sorted(labels)) as file:
            table = file.read([name for name in schema.names if name not in (*lists, CONTENT)])
            for name in (name for name in lists if name in FIRSTS):
                firsts = [_first_values(part) for _, part in _parts_of(file, name)]
                table = table.append_column(FIRSTS[name], pa.chunked_array(firsts))
            flat: pd.DataFrame = table.unify_dictionaries().to_pandas()
    except Exception as error:  # pyarrow raises many kinds on broken files
        raise _damaged(path, error) from error
    return flat


def together(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Flat scores of several image sets, one after the other; names are kept once each."""
    table = pd.concat(tables, ignore_index=True)
    for name in table:
        if all(name in part and isinstance(part[name].dtype, pd.CategoricalDtype) for part in tables):
            table[name] = union_categoricals([part[name] for part in tables])
    return table


def _parts_of(file: pq.ParquetFile, name: str) -> Iterator[tuple[int, pa.ListArray]]:
    """(First row, lists) of a column, part by part: Arrow reads the labels of lists once each in no other way."""
    start = 0
    for number in range(file.num_row_groups):
        for lists in file.read_row_group(number, [name])[name].chunks:
            yield start, lists
            start += len(lists)


def _first_values(lists: pa.ListArray) -> pa.Array:
    """(B,) the first value of each list; nothing of an empty one."""
    starts = pc.if_else(pc.greater(pc.list_value_length(lists), 0), lists.offsets[:-1], None)
    return pc.take(lists.values, starts)


def read_score_rows(path: Path, rows: Sequence[int], columns: Sequence[str]) -> pd.DataFrame:
    """These columns of these rows, in their order: only the parts of the file that hold them are read.

    Raises NegRefineError for a file that is damaged.
    """
    read_scores_info(path)
    try:
        with pq.ParquetFile(path) as file:
            sizes = np.array([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
            ends = np.cumsum(sizes)
            part = np.searchsorted(ends, rows, side="right")  # (n,) the part that holds each row
            needed = np.unique(part)
            starts = np.zeros(len(sizes), dtype=np.int64)
            starts[needed] = np.cumsum(sizes[needed]) - sizes[needed]  # of each part among those that are read
            table = file.read_row_groups(needed.tolist(), columns)
            places = np.asarray(rows, dtype=np.int64) - (ends - sizes)[part] + starts[part]
            found: pd.DataFrame = table.take(places).to_pandas()
    except Exception as error:  # pyarrow raises many kinds on broken files
        raise _damaged(path, error) from error
    return found


def read_top_negatives(path: Path) -> pd.Series:
    """The top negatives of all images, best first, as categories; the index has each one's row.

    Raises NegRefineError for a file that is damaged.
    """
    read_scores_info(path)
    name = "negative_labels"
    try:
        with pq.ParquetFile(path, read_dictionary=[f"{name}.list.element"]) as file:
            parts = list(_parts_of(file, name))
        labels = pa.chunked_array([lists.flatten() for _, lists in parts], pa.dictionary(pa.int32(), pa.string()))
        rows = [start + pc.list_parent_indices(lists).to_numpy() for start, lists in parts]
        found: pd.Series = labels.unify_dictionaries().to_pandas()
    except Exception as error:  # pyarrow raises many kinds on broken files
        raise _damaged(path, error) from error
    return found.set_axis(np.concatenate([np.empty(0, dtype=np.int64), *rows]))


def columns_of(path: Path) -> list[str]:
    """The names of all columns."""
    return list(pq.read_schema(path).names)


def list_columns(path: Path) -> list[str]:
    """The columns that hold a list an image."""
    schema = pq.read_schema(path)
    return [field.name for field in schema if pa.types.is_list(field.type)]


def read_scores_info(path: Path) -> ScoresInfo | None:
    """None for a file of before scores said what they were made from. Raises NegRefineError for a damaged one."""
    return _parsed_info(path, file_state(path))


def write_scores(path: Path, tables: Iterable[pd.DataFrame], describe: Callable[[], ScoresInfo]) -> int:
    """Write the tables, chunk by chunk as they come, and return how many rows; none leave no file.

    `describe` is asked after the last table, when the skipped images are known.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            partial = folder / path.name
            count = _write_parquet(partial, tables, describe)
            if count:
                _seal(partial)
                partial.replace(path)
    return count


def _write_parquet(path: Path, tables: Iterable[pd.DataFrame], describe: Callable[[], ScoresInfo]) -> int:
    writer, schema, count = None, None, 0
    try:
        for table in tables:
            if table.empty:
                continue
            rows = pa.Table.from_pandas(table, preserve_index=False)
            schema = schema or _schema(rows)
            writer = writer or pq.ParquetWriter(path, schema)
            writer.write_table(rows.cast(schema), row_group_size=PART)
            count += len(table)
        if writer:
            writer.add_key_value_metadata({KEY: json.dumps(describe().model_dump(mode="json")).encode()})
    finally:
        if writer:
            writer.close()
    return count


def _schema(rows: pa.Table) -> pa.Schema:
    """The first chunk's; a column of nothing but None may hold text further on."""
    fields = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in rows.schema]
    return pa.schema(fields, rows.schema.metadata)


def _seal(path: Path) -> None:
    """Put the check into a file that is written whole."""
    with path.open("r+b") as file:
        place = _place_of_check(file)
        if place is None:
            raise ValueError("a file without a note carries no check")
        check = _digest(file, place)
        file.seek(place)
        file.write(check.encode())
        file.flush()
        os.fsync(file.fileno())


@lru_cache(maxsize=256)
def _parsed_info(path: Path, state: tuple[int, int, int]) -> ScoresInfo | None:
    del state
    try:
        with path.open("rb") as file:
            place = _place_of_check(file)
            if place is None:
                return None
            check = _digest(file, place)
        with pq.ParquetFile(path) as parquet:
            info = ScoresInfo.model_validate_json((parquet.metadata.metadata or {})[KEY])
    except Exception as error:  # pyarrow raises many kinds on broken files
        raise _damaged(path, error) from error
    if info.check != check:
        raise _damaged(path, "it is not as it was written")
    return info


def _place_of_check(file: IO[bytes]) -> int | None:
    """Where in a Parquet file its check stands; None where the file has no note of ours. Raises ValueError."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    length = int.from_bytes(file.read(_TAIL)[:4], "little")
    if length + _TAIL > size:
        raise ValueError("it is cut")
    start = size - _TAIL - length
    file.seek(start)
    metadata = file.read(length)
    places = [found.start(1) for found in _CHECK.finditer(metadata)]
    if places:
        return start + places[-1]
    if KEY in metadata or b'"scored_with": ' in metadata:
        raise ValueError("its note is damaged")
    return None


def _digest(file: IO[bytes], place: int) -> str:
    """The hash of all bytes but the check's own."""
    digest = hashlib.blake2b(digest_size=len(UNCHECKED) // 2)
    file.seek(0)
    left = place
    while left:
        block = file.read(min(left, _BLOCK))
        if not block:
            raise ValueError("it is cut")
        digest.update(block)
        left -= len(block)
    file.seek(len(UNCHECKED), os.SEEK_CUR)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _damaged(path: Path, reason: object) -> NegRefineError:
    said = str(reason).strip().partition("\n")[0]
    return NegRefineError(f"{path} is damaged ({said}); score the image set again")
