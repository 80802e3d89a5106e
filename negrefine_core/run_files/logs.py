"""The append-only logs of a run, a JSON object a line: `verdicts.jsonl` and `overrides.jsonl`."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from ..errors import NegRefineError
from ..paths import file_state
from ..records import Override, Verdict


class VerdictLog:
    """An open log that takes verdicts."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def append(self, verdict: Verdict) -> None:
        _write_line(self._file, verdict)


def read_verdicts(path: Path) -> list[Verdict]:
    return list(_parsed_verdicts(path, file_state(path)))


@contextmanager
def verdict_log(path: Path) -> Iterator[VerdictLog]:
    """Append verdicts; each is with the operating system as soon as it is written."""
    with _appending(path) as file:
        yield VerdictLog(file)


def read_overrides(path: Path) -> list[Override]:
    return [Override(**line) for line in _lines(path)]


def append_overrides(path: Path, overrides: Iterable[Override]) -> None:
    with _appending(path) as file:
        for override in overrides:
            _write_line(file, override)


@lru_cache(maxsize=2)
def _parsed_verdicts(path: Path, state: tuple[int, int, int]) -> tuple[Verdict, ...]:
    """The log, read again when it grew: ImageNet's 73,000 verdicts take a second."""
    del state
    return tuple(Verdict(**line) for line in _lines(path))


def _lines(path: Path) -> list[dict[str, Any]]:
    """None where there is no log yet."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was cut by a kill
    try:
        return [dict(json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise NegRefineError(f"{path} is damaged ({error}); mend or delete the line that is not JSON") from error


def _write_line(file: IO[str], record: Verdict | Override) -> None:
    file.write(json.dumps(vars(record), ensure_ascii=False) + "\n")


@contextmanager
def _appending(path: Path) -> Iterator[IO[str]]:
    _cut_torn_line(path)
    try:
        with path.open("a", encoding="utf-8", buffering=1) as file:  # a line is written when it is complete
            yield file
    except OSError as error:
        raise NegRefineError(
            f"cannot write {path} ({error.strerror}); all before is kept: mend it and start again to go on"
        ) from error


def _cut_torn_line(path: Path) -> None:
    """Cut off a last line that a kill left half-written."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as torn:
            torn.truncate(whole)
