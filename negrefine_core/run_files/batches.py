"""`batches.json`: the batches of questions that were sent to a language model's server; what each of them asks lies in
`batches/` until its replies are fetched, under a name that is its content's hash."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..errors import NegRefineError
from ..paths import write_atomically
from .checks import digest, with_check, without_check
from .info import first_fault

FILE, FOLDER = "batches.json", "batches"


@dataclass(frozen=True)
class SentBatch:
    """A batch of so many `questions` to a `judge` (its identity), whose `requests` are the file of that name.

    Without an `id` it was about to be sent; `ended` is the server's word for how it ended, once its replies were
    fetched. `time` is UTC.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    judge: str
    requests: str
    questions: int
    time: str
    id: str = ""
    ended: str = ""


_BATCHES = TypeAdapter(tuple[SentBatch, ...])


def read_batches(path: Path) -> tuple[SentBatch, ...]:
    """Raises NegRefineError naming a damaged file and what to do."""
    if not path.exists():
        return ()
    try:
        content, is_whole = without_check(json.loads(path.read_text(encoding="utf-8")))
        if not is_whole:
            raise ValueError("it is not as it was written")
        return _BATCHES.validate_python(content.get("batches"))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        reason = first_fault(error) if isinstance(error, ValidationError) else error
        raise NegRefineError(
            f"{path} is damaged ({reason}); put the file back from a backup, or delete it: the batches under way are "
            "then forgotten, and their questions sent again"
        ) from error


def under_way(path: Path, judge: str) -> list[SentBatch]:
    """The batches that were sent to a judge, and whose replies are not fetched yet."""
    return [sent for sent in read_batches(path) if sent.judge == judge and not sent.ended]


def write_batches(path: Path, batches: Iterable[SentBatch]) -> None:
    content = with_check({"batches": [asdict(batch) for batch in batches]})
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def write_requests(folder: Path, content: bytes) -> str:
    """Keep what a batch asks, and return the name it has there."""
    name = digest(content)
    write_atomically(folder / f"{name}.jsonl", content)
    return name


def read_requests(folder: Path, name: str) -> bytes:
    """Raises NegRefineError where the file is not there, or not as it was written."""
    path = folder / f"{name}.jsonl"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NegRefineError(f"cannot read {path} ({error.strerror}), {_LOST}") from error
    if digest(content) != name:
        raise NegRefineError(f"{path} is not as it was written, {_LOST}")
    return content


_LOST = (
    f"so the replies of its batch cannot be told apart: put the file back from a backup, or delete {FILE} beside "
    f"{FOLDER}/ to have the questions that are still open sent again"
)


def forget_requests(folder: Path, needed: Iterable[str]) -> None:
    """Remove what was asked by batches that have ended."""
    names = {f"{name}.jsonl" for name in needed}
    for path in folder.glob("*.jsonl"):
        if path.name not in names:
            path.unlink(missing_ok=True)
