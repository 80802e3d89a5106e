"""`scores/IMAGE_SET.parquet`: a row an image, a column a method, and the labels that the image matches best.

The file says itself what it was made from (`ScoresInfo`), and its pages carry checksums.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ..errors import NegRefineError
from ..paths import file_state, temporary_folder, writing
from .checks import digest, with_check, without_check
from .info import ScoredWith

KEY = b"negrefine"  # of our note in the file's metadata


class ScoresInfo(BaseModel):
    """What an image set's scores were made from; empty where that is not known.

    `root` is the folder of the images, as a run file keeps it; `skipped` are the (path, reason) of unreadable images;
    `content` is the hash of the rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_set: str
    root: str
    class_list_hash: str = ""
    fingerprint: str = ""
    scored_with: ScoredWith | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    rows: int = 0
    content: str = ""


def read_scores(path: Path) -> pd.DataFrame:
    """Raises NegRefineError for a file that is damaged."""
    info = read_scores_info(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except Exception as error:  # pyarrow raises many kinds on broken files
        raise _damaged(path, error) from error
    if info and table.num_rows != info.rows:
        raise _damaged(path, f"{table.num_rows} rows of {info.rows}")
    return _frame(path, table)


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
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                partial.replace(path)
    return count


def _write_parquet(path: Path, tables: Iterable[pd.DataFrame], describe: Callable[[], ScoresInfo]) -> int:
    writer, schema, count, content = None, None, 0, hashlib.blake2b(digest_size=8)
    try:
        for table in tables:
            if table.empty:
                continue
            rows = pa.Table.from_pandas(table, preserve_index=False)
            schema = schema or _schema(rows)
            writer = writer or pq.ParquetWriter(path, schema, write_page_checksum=True)
            rows = rows.cast(schema)
            writer.write_table(rows)
            for batch in rows.to_batches():
                content.update(batch.serialize())
            count += len(table)
        if writer and schema:
            info = describe().model_copy(update={"rows": count, "content": content.hexdigest()})
            writer.add_key_value_metadata({KEY: _note(info, schema)})
    finally:
        if writer:
            writer.close()
    return count


def _schema(rows: pa.Table) -> pa.Schema:
    """The first chunk's; a column of nothing but None may hold text further on."""
    fields = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in rows.schema]
    return pa.schema(fields, rows.schema.metadata)


def _note(info: ScoresInfo, schema: pa.Schema) -> bytes:
    """The file's own note, whose check is of the columns too."""
    content = info.model_dump(mode="json") | {"columns": _columns(schema)}
    return json.dumps(with_check(content), ensure_ascii=True).encode()


def _columns(schema: pa.Schema) -> str:
    pandas = (schema.metadata or {}).get(b"pandas", b"")
    return digest(repr(schema.names).encode() + pandas)


@lru_cache(maxsize=256)
def _parsed_info(path: Path, state: tuple[int, int, int]) -> ScoresInfo | None:
    del state
    try:
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata.metadata or {}
        if KEY not in metadata:
            return None
        content, is_whole = without_check(json.loads(metadata[KEY]))
        if not is_whole or content.pop("columns") != _columns(schema):
            raise _damaged(path, "it is not as it was written")
        return ScoresInfo.model_validate(content)
    except NegRefineError:
        raise
    except Exception as error:  # pyarrow raises many kinds on broken files
        raise _damaged(path, error) from error


def _frame(path: Path, table: pa.Table) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = table.to_pandas()
    except Exception as error:
        raise _damaged(path, error) from error
    return frame


def _damaged(path: Path, reason: object) -> NegRefineError:
    return NegRefineError(f"{path} is damaged ({reason}); score the image set again")
