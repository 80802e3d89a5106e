"""The append-only logs of a run: verdicts, reasons, overrides, reviews, marks; a JSON object a line with its check."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..errors import NegRefineError
from ..paths import file_state
from ..records import Mark, Override, Reason, Review, Verdict
from .checks import digest
from .info import first_fault

R = TypeVar("R", Verdict, Reason, Override, Review, Mark)
Numbered = TypeVar("Numbered", Override, Review, Mark)

CHECK = b', "check": "'  # a line's last field
_NEVER = object()
# Fields that came later are written where they say something: older lines have none.
_LATER = {"prompts": "paper", "p_yes": None, "p_yes_from": None, "not_label": ""}
_VERDICT, _REASON = TypeAdapter(Verdict), TypeAdapter(Reason)
_OVERRIDE, _REVIEW, _MARK = TypeAdapter(Override), TypeAdapter(Review), TypeAdapter(Mark)


class VerdictLog:
    """An open log that takes verdicts."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def append(self, verdict: Verdict) -> None:
        self._file.write(_line(verdict))


def read_verdicts(path: Path) -> list[Verdict]:
    """Raises NegRefineError naming the first line that is damaged."""
    return list(_parsed_verdicts(path, file_state(path)))


def said(path: Path, lines: int) -> str:
    """The digest of what a log's first lines say, whenever it was asked for: it tells a log from another run's."""
    return _said(path, file_state(path), lines)


@contextmanager
def verdict_log(path: Path) -> Iterator[VerdictLog]:
    """Append verdicts; each is with the operating system as soon as it is written."""
    with _appending(path) as file:
        yield VerdictLog(file)


def without_checks(log: bytes) -> bytes:
    """A log as it is packed: `with_checks` gives its lines their checks again."""
    lines = log.split(b"\n")
    return b"\n".join(line.rpartition(CHECK)[0] + b"}" if _is_checked(line) else line for line in lines)


def with_checks(log: bytes) -> bytes:
    return b"\n".join(line if _is_checked(line) or not line else _checked(line) for line in log.split(b"\n"))


def read_reasons(path: Path) -> list[Reason]:
    """Raises NegRefineError naming the first line that is damaged."""
    return list(_parsed_reasons(path, file_state(path)))


def read_overrides(path: Path) -> list[Override]:
    """Raises NegRefineError naming the first line that is damaged or stands in another's place."""
    return list(_parsed_overrides(path, file_state(path)))


def read_reviews(path: Path) -> list[Review]:
    """Raises NegRefineError naming the first line that is damaged or stands in another's place."""
    return list(_parsed_reviews(path, file_state(path)))


def read_marks(path: Path) -> list[Mark]:
    """Raises NegRefineError naming the first line that is damaged or stands in another's place."""
    return list(_parsed_marks(path, file_state(path)))


def append(path: Path, records: Iterable[Reason | Override | Review | Mark]) -> None:
    with _appending(path) as file:
        for record in records:
            file.write(_line(record))


@lru_cache(maxsize=4)
def _parsed_verdicts(path: Path, state: tuple[int, int, int]) -> tuple[Verdict, ...]:
    """The log, read again when it grew: ImageNet has 73,000 verdicts."""
    del state
    return tuple(verdict for _, verdict, _ in _records(path, _VERDICT))


@lru_cache(maxsize=4)
def _said(path: Path, state: tuple[int, int, int], lines: int) -> str:
    """Worked out once for a log: each decision looks at it."""
    verdicts = _parsed_verdicts(path, state)[:lines]
    return digest("\n".join(f"{v.judge}\t{v.negative}\t{v.id_label}\t{v.answer}" for v in verdicts))


@lru_cache(maxsize=4)
def _parsed_reasons(path: Path, state: tuple[int, int, int]) -> tuple[Reason, ...]:
    del state
    return tuple(reason for _, reason, _ in _records(path, _REASON))


@lru_cache(maxsize=8)
def _parsed_overrides(path: Path, state: tuple[int, int, int]) -> tuple[Override, ...]:
    del state
    return tuple(_numbered(path, _OVERRIDE))


@lru_cache(maxsize=8)
def _parsed_reviews(path: Path, state: tuple[int, int, int]) -> tuple[Review, ...]:
    del state
    return tuple(_numbered(path, _REVIEW))


@lru_cache(maxsize=8)
def _parsed_marks(path: Path, state: tuple[int, int, int]) -> tuple[Mark, ...]:
    del state
    return tuple(_numbered(path, _MARK))


def _numbered(path: Path, kind: TypeAdapter[Numbered]) -> Iterator[Numbered]:
    """Lines of before there were numbers are named by their place, from 0, which their undos refer to."""
    last = -1
    for place, record, is_checked in _records(path, kind):
        numbered = record if is_checked else replace(record, number=place)
        if numbered.number <= last:
            raise _damaged(path, place, "it stands after a later one")
        last = numbered.number
        yield numbered


def _records(path: Path, kind: TypeAdapter[R]) -> Iterator[tuple[int, R, bool]]:
    """(Place from 0, record, whether it carries a check) of each line; nothing where there is no log yet."""
    for place, line in enumerate(_lines(path)):
        if not line.strip():  # a damaged line that a person has emptied
            continue
        content, is_checked = line, _is_checked(line)
        if is_checked:
            start, _, check = line.rpartition(CHECK)
            content = start + b"}"
            if check != digest(content).encode() + b'"}':
                raise _damaged(path, place, "it is not as it was written")
        try:
            yield place, kind.validate_json(content), is_checked
        except ValidationError as error:
            raise _damaged(path, place, first_fault(error)) from error


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was cut by a kill
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NegRefineError(f"{path} cannot be read ({error.strerror}); put the file back from a backup") from error


def _damaged(path: Path, place: int, reason: str) -> NegRefineError:
    then = (
        "the step 'refine' asks that question again"
        if path.name.startswith("verdicts")
        else "the other lines stay as they are"
    )
    return NegRefineError(
        f"{path} is damaged in line {place + 1} ({reason}). Put the file back from a backup; or empty that line, "
        f"without taking it out: {then}"
    )


def _line(record: Verdict | Reason | Override | Review | Mark) -> bytes:
    said = {name: value for name, value in vars(record).items() if _LATER.get(name, _NEVER) != value}
    content = json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return _checked(content) + b"\n"


def _checked(content: bytes) -> bytes:
    return content[:-1] + CHECK + digest(content).encode() + b'"}'


def _is_checked(line: bytes) -> bool:
    return line.endswith(b'"}') and CHECK in line


@contextmanager
def _appending(path: Path) -> Iterator[IO[bytes]]:
    try:
        _cut_torn_line(path)
        with path.open("ab", buffering=0) as file:  # a line is written when it is complete
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
