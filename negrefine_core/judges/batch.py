"""NegFilter's questions through OpenAI's Batch API (paper, section 4.1): half the price, answered within a day.

The replies go into the verdict cache, as if the server had been asked one by one: refining the run then asks nothing.
"""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import openai
from openai.types import Batch
from pydantic import BaseModel, ValidationError

from ..errors import NegRefineError
from ..judge import Judge, Question, Reply
from ..negfilter import run_coroutine
from ..records import now
from ..run_files import batches
from ..run_files.batches import SentBatch
from ..runs import Run
from . import prompt_book
from .cache import CachedJudge
from .openai import OpenAIJudge

PRICE = 0.5  # of that of a question which is answered at once
MOST_REQUESTS = 50_000  # in a file; these two limits are OpenAI's
MOST_BYTES = 200_000_000  # of a file, which must be smaller
TRANSFER_TIMEOUT = 3600.0  # seconds for a file on a slow line
ENDPOINT: Final = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")  # a batch's states; in any other it is under way
MARK = "negrefine"  # the field of a batch's metadata that says which requests it was made of
NO_BATCHES = "has no Batch API (404): let `negrefine refine` ask it question by question"


@dataclass(frozen=True)
class Fetched:
    """What came of one batch that has ended: so many replies; so many requests without one, of which so many were
    answered by something else; and the first reason that was given, if there was one."""

    replies: int
    failed: int
    malformed: int
    reason: str


@dataclass(frozen=True)
class Collected:
    """What came of the batches that have ended since the last look, and the questions of those under way, of which
    `done` are answered there."""

    fetched: tuple[Fetched, ...] = ()
    under_way: int = 0
    done: int = 0


class Batches:
    """A run's batches with one language model. What was sent is noted in the run before and after, so that a process
    may be killed at any moment and nothing is asked twice.

    Raises NegRefineError for any other judge.
    """

    def __init__(self, run: Run, judge: Judge) -> None:
        if not isinstance(judge, CachedJudge) or not isinstance(judge.judge, OpenAIJudge):
            raise NegRefineError(
                f"the judge {judge.identity!r} takes no batches, which are for one language model: "
                "--judge openai --judge-model MODEL"
            )
        self.judge = judge
        self._run, self._model = run, judge.judge
        self._notes, self._folder = run.path(batches.FILE), run.path(batches.FOLDER)

    def collect(self) -> Collected:
        """Look at each batch that was sent, and fetch the replies of those that have ended into the cache."""
        with self._run.doing("refine"):
            collected = run_coroutine(self._collect()) if self._sent else Collected()
            everyones = batches.read_batches(self._notes)
            batches.forget_requests(self._folder, [sent.requests for sent in everyones if not sent.ended])
        return collected

    def unsent(self, questions: Sequence[Question]) -> list[Question]:
        """Those that are neither answered nor in a batch under way, each of them once: while labels' first questions
        are under way no others, which come all together then."""
        files = (batches.read_requests(self._folder, sent.requests) for sent in self._sent)
        asked = {_told(request) for file in files for request in _requests(file).values()}
        answered = self.judge.cached(questions)
        wanted = {self.judge.wording.text(each): each for each in questions if each.subject not in answered}
        only_first = any(each.kind == "proper noun" for told, each in wanted.items() if told in asked)
        unsent = [each for told, each in wanted.items() if told not in asked]
        return [each for each in unsent if each.kind == "proper noun"] if only_first else unsent

    def send(self, questions: Sequence[Question]) -> int:
        """Send those of the questions that are unsent, in as many batches as they need, and return how many that are.

        The first one is asked directly, which says whether the server answers, and what it grants of the rest.
        """
        with self._run.doing("refine"):
            prompt_book.keep(self._run, self.judge.wording.prompts)
            unsent = self.unsent(questions)  # another process may have been here since they were counted
            return run_coroutine(self._send(unsent)) if unsent else 0

    @property
    def _sent(self) -> list[SentBatch]:
        return batches.under_way(self._notes, self.judge.identity)

    async def _collect(self) -> Collected:
        fetched, under_way, done = [], 0, 0
        async with self._server() as client:
            for noted in self._sent:
                sent = noted if noted.id else await self._find(client, noted)
                if sent is None:
                    continue
                batch = await self._look(client, sent)
                if batch.status in ENDED:
                    fetched.append(await self._fetch(client, sent, batch))
                    self._note(sent, replace(sent, ended=batch.status))
                else:
                    counts = batch.request_counts
                    done += counts.completed + counts.failed if counts else 0
                    under_way += sent.questions
        return Collected(tuple(fetched), under_way, done)

    async def _find(self, client: openai.AsyncOpenAI, sent: SentBatch) -> SentBatch | None:
        """The batch that was about to be sent when the process ended; None where it was not sent any more."""
        noted = {each.id for each in batches.read_batches(self._notes)}
        with self._in_our_words():
            async for batch in client.batches.list(limit=100):
                is_it = (batch.metadata or {}).get(MARK) == sent.requests and batch.status != "failed"
                if is_it and batch.id not in noted:
                    return self._note(sent, replace(sent, id=batch.id))
        return self._note(sent, None)

    async def _look(self, client: openai.AsyncOpenAI, sent: SentBatch) -> Batch:
        lost = (
            f"does not know the batch {sent.id!r}, sent at {sent.time}: use the key it was sent with; or delete "
            f"{self._notes} to have the questions that are still open sent again"
        )
        with self._in_our_words(lost):
            return await client.batches.retrieve(sent.id)

    async def _fetch(self, client: openai.AsyncOpenAI, sent: SentBatch, batch: Batch) -> Fetched:
        """Keep the replies of a batch that has ended, however it did."""
        requests = _requests(batches.read_requests(self._folder, sent.requests))
        replies, malformed = dict[str, Reply](), 0
        reasons = [error.message or "" for error in batch.errors.data or ()] if batch.errors else []
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            for line in await self._lines(client, file, reasons):
                request = requests.get(line.custom_id) if line else None
                reply = self._model.reply_to(request, line.body) if line and request and line.is_answer else None
                if request and reply:
                    replies[_told(request)] = replace(reply, time=now())
                elif line is None or line.is_answer:
                    malformed += 1
                else:
                    reasons.append(line.reason)
        self.judge.keep(replies)
        said = [] if batch.status == "completed" else [batch.status]
        reason = ": ".join([*said, *list(filter(None, reasons))[:1]])
        failed = len(requests) - len(replies)
        return Fetched(len(replies), failed, min(malformed, failed), self._model.readable(reason))

    async def _lines(self, client: openai.AsyncOpenAI, file: str, reasons: list[str]) -> "list[_Line | None]":
        """The outcomes in a file of the server's, None for a line that is none."""
        with self._in_our_words():
            try:
                content = await client.files.content(file, timeout=TRANSFER_TIMEOUT)
            except openai.NotFoundError:
                reasons.append(f"the file {file} is no longer there")
                return []
        return [_Line.read(line) for line in content.content.splitlines() if line.strip()]

    async def _send(self, questions: Sequence[Question]) -> int:
        async with self._server() as client:
            first = await self._model.ask(questions[0])
            if first.malformed:
                raise NegRefineError(f"{self._model.url} gives no reply, but {first.text!r}; nothing was sent")
            self.judge.keep({self.judge.wording.text(questions[0]): replace(first, time=now())})
            files = list(_files([self._model.request(question) for question in questions[1:]]))
            for content in files:
                await self._send_file(client, content)
        return len(files)

    async def _send_file(self, client: openai.AsyncOpenAI, content: bytes) -> None:
        name = batches.write_requests(self._folder, content)
        sent = SentBatch(self.judge.identity, name, content.count(b"\n"), now())
        once = client.with_options(max_retries=0)  # a batch whose answer was lost is there all the same
        with self._in_our_words():
            upload = (f"{name}.jsonl", content)
            file = await client.files.create(file=upload, purpose="batch", timeout=TRANSFER_TIMEOUT)
            self._note(None, sent)
            batch = await once.batches.create(
                completion_window="24h", endpoint=ENDPOINT, input_file_id=file.id, metadata={MARK: name}
            )
        self._note(sent, replace(sent, id=batch.id))

    def _note(self, old: SentBatch | None, new: SentBatch | None) -> SentBatch | None:
        """Put a note in another's place."""
        with self._run.locked():
            others = [sent for sent in batches.read_batches(self._notes) if sent != old]
            batches.write_batches(self._notes, [*others, *([new] if new else [])])
        return new

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[openai.AsyncOpenAI]:
        await self._model.open()
        try:
            yield self._model.client
        finally:
            await self._model.close()

    @contextmanager
    def _in_our_words(self, missing: str = NO_BATCHES) -> Iterator[None]:
        """Where the server does not answer, or says that something is `missing` there, one line that says so."""
        with self._model.in_our_words():
            try:
                yield
            except openai.NotFoundError:
                raise NegRefineError(f"{self._model.url} {missing}") from None


class _Answer(BaseModel):
    status_code: int = 0
    body: Any = None


class _Line(BaseModel):
    """The outcome of one request."""

    custom_id: str
    response: _Answer | None = None
    error: Any = None

    @classmethod
    def read(cls, line: bytes) -> "_Line | None":
        try:
            return cls.model_validate_json(line)
        except ValidationError:
            return None

    @property
    def body(self) -> Any:
        return self.response.body if self.response else None

    @property
    def is_answer(self) -> bool:
        return self.response is not None and self.response.status_code == 200

    @property
    def reason(self) -> str:
        """Why there is no answer, in the server's words."""
        errors = (self.error, self.body.get("error") if isinstance(self.body, dict) else None)
        return next((str(error["message"]) for error in errors if isinstance(error, dict) and "message" in error), "")


def _files(requests: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Requests as the server takes them, a line each, in files within its limits."""
    lines, size = list[bytes](), 0
    for number, body in enumerate(requests):
        request = {"custom_id": str(number), "method": "POST", "url": ENDPOINT, "body": body}
        line = json.dumps(request, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        if lines and (len(lines) == MOST_REQUESTS or size + len(line) >= MOST_BYTES):
            yield b"".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield b"".join(lines)


def _requests(content: bytes) -> dict[str, dict[str, Any]]:
    """A file's requests by their `custom_id`."""
    lines = (json.loads(line) for line in content.splitlines())
    return {line["custom_id"]: line["body"] for line in lines}


def _told(request: Mapping[str, Any]) -> str:
    """All that the model is told, by which its reply is kept."""
    return "\n".join(message["content"] for message in request["messages"])
