"""Scores of more images than an explorer holds: `scores/IMAGE_SET.parts/CHECK.parquet`, each of at most a million rows.

`scores/IMAGE_SET.parquet` is then a sample of them, which is what is looked through, and its note names the parts: it
comes last, so that the scores of before stay until all of the new ones are there.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..errors import NegRefineError
from ..paths import temporary_folder, writing
from .scores import PART, ScoresInfo, read_scores, read_scores_info, write_scores

MOST = 1_000_000  # rows of a part, and of the sample


def write_all_scores(path: Path, tables: Iterable[pd.DataFrame], describe: Callable[[], ScoresInfo]) -> int:
    """As `write_scores`, in parts where one file would be too large."""
    files: list[tuple[Path, int]] = []
    rest = (table for table in tables if len(table))
    ahead = next(rest, None)

    def part() -> Iterator[pd.DataFrame]:
        nonlocal ahead
        room = MOST
        while ahead is not None and room:
            here, later = ahead.iloc[:room], ahead.iloc[room:]
            yield here
            room -= len(here)
            ahead = later if len(later) else next(rest, None)

    def note() -> ScoresInfo:
        is_whole = not files and ahead is None
        return describe() if is_whole else describe().model_copy(update={"skipped": ()})

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            while ahead is not None:
                file = folder / f"{len(files)}.parquet"
                files.append((file, write_scores(file, part(), note)))
            if len(files) == 1:
                files[0][0].replace(path)
                remove_parts(path)
            elif files:
                _keep(path, files, folder / path.name, describe)
    return sum(rows for _, rows in files)


def _keep(path: Path, files: Sequence[tuple[Path, int]], sample: Path, describe: Callable[[], ScoresInfo]) -> None:
    """Put the parts in their place, then the sample that names them, and take away the parts of before."""
    parts: list[tuple[str, int]] = []
    _folder(path).mkdir(exist_ok=True)
    for file, rows in files:
        info = read_scores_info(file)
        assert info, "a part says what it is"  # noqa: S101
        file.replace(_part(path, info.check))
        parts.append((info.check, rows))
    drawn = _drawn([(_part(path, check), rows) for check, rows in parts])
    write_scores(sample, drawn, lambda: describe().model_copy(update={"parts": tuple(parts)}))
    sample.replace(path)
    for old in set(_folder(path).iterdir()) - {_part(path, check) for check, _ in parts}:
        old.unlink()


def _drawn(files: Sequence[tuple[Path, int]]) -> Iterator[pd.DataFrame]:
    """A sample of the rows of these files, in their order, of each in proportion; always the same of as many rows."""
    draw = np.random.default_rng(0)
    wanted, left = MOST, sum(rows for _, rows in files)
    waiting: list[pd.DataFrame] = []
    for file, rows in files:
        count = round(wanted * rows / left)
        wanted, left = wanted - count, left - rows
        chosen = np.sort(draw.choice(rows, count, replace=False))
        with pq.ParquetFile(file) as parquet:
            start = 0
            for number in range(parquet.num_row_groups):
                group = parquet.read_row_group(number)
                here = chosen[(chosen >= start) & (chosen < start + len(group))] - start
                waiting.append(group.take(here).to_pandas())
                start += len(group)
                if sum(map(len, waiting)) >= PART:
                    yield pd.concat(waiting, ignore_index=True)
                    waiting = []
    if waiting:
        yield pd.concat(waiting, ignore_index=True)


def read_all_scores(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All rows, with all columns but the files' hashes, or these. Raises NegRefineError for a file that is damaged, or
    a part of it that is gone."""
    return pd.concat([read_scores(file, columns) for file in _files(path)], ignore_index=True)


def count_scores(path: Path) -> int:
    """How many rows there are. Raises NegRefineError for a file that is damaged."""
    info = read_scores_info(path)
    return sum(rows for _, rows in info.parts) if info and info.parts else int(pq.read_metadata(path).num_rows)


def remove_parts(path: Path) -> None:
    if _folder(path).exists():
        shutil.rmtree(_folder(path))


def _files(path: Path) -> list[Path]:
    """That hold the rows. Raises NegRefineError where one is not as it was written."""
    info = read_scores_info(path)
    if not (info and info.parts):
        return [path]
    files = [_part(path, check) for check, _ in info.parts]
    for (check, _), file in zip(info.parts, files, strict=True):
        found = read_scores_info(file) if file.exists() else None
        if not found or found.check != check:
            raise NegRefineError(f"{file} is missing or another; score the image set again")
    return files


def _folder(path: Path) -> Path:
    return path.with_suffix(".parts")


def _part(path: Path, check: str) -> Path:
    return _folder(path) / f"{check}.parquet"
