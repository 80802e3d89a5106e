"""The language model as NegFilter's judge, behind any OpenAI-compatible server (paper, section 4.1)."""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai

from ..errors import NegRefineError
from ..hyperparameters import IN_FLIGHT
from ..judge import JudgeIdentity, Question, Reply
from ..prompts import PAPER
from .certainty import p_yes
from .extras import Extras, Granted, answer_in
from .http import AlikeClient
from .wording import Message, Wording

UNANSWERED = (openai.OpenAIError, aiohttp.ClientError, LookupError, TypeError, ValueError, TimeoutError)
PATH = "/chat/completions"
OPENAI_URL = "https://api.openai.com/v1"
MAX_TOKENS = 8  # "Yes" or "No", and room to see what an unclear reply wanted to say
MAX_TOKENS_STRUCTURED = 64  # the same as JSON, which a small model fills with blanks
TIMEOUT = 60.0  # seconds for one reply, which a busy local server may need
CONNECT_TIMEOUT = 5.0  # seconds for a server to be there at all
RETRIES = 6  # by the SDK, after 0.5, 1, 2, 4, 8, 8 s: outlasts a server's restart
LONGEST_PAUSE = 60.0  # seconds that a server may ask for before it is asked again: the SDK's limit

# An answer with status 200 that is no model's reply (a login page, an empty list) is asked for again, then kept as
# unclear, and the work goes on, unless there are more of them than this: then the server is not what it should be.
MALFORMED_RETRIES = 2  # after 0.5 and 1 s
MALFORMED_ALLOWED = 5  # questions, and as many more as are
MALFORMED_SHARE = 0.01  # of those that were answered properly
SHOWN = 200  # characters of what a server said
GO_ON = "Every answer so far is kept: start it again to go on"


class OpenAIJudge:
    """Asks a language model at temperature 0, `concurrency` labels at once.

    Args:
        model: the server's name for the model.
        base_url: the server, up to `/v1`; OPENAI_BASE_URL or OpenAI's own when not given.
        api_key: OPENAI_API_KEY when not given; a local server needs none. It goes to the server and nowhere else.
        rate: at most so many questions a minute.
        wording: the prompt set's, by default the paper's.

    What a server may refuse, such as to allow Yes and No alone, is left away once it has refused it.

    Raises NegRefineError when the key is missing, and while judging when the server cannot be used. A server's answer
    that is no model's reply is a malformed `Reply`, up to a limit.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        concurrency: int = IN_FLIGHT,
        rate: float | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        wording: Wording | None = None,
    ) -> None:
        url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NegRefineError(f"{url!r} is no base URL; give one such as http://127.0.0.1:8000/v1")
        if parts.username or parts.query:
            raise NegRefineError("the base URL carries credentials or parameters; put the key into OPENAI_API_KEY")
        key = api_key or os.environ.get("OPENAI_API_KEY")
        if not key and url == OPENAI_URL:
            raise NegRefineError("OpenAI needs a key: set OPENAI_API_KEY, or name another server with --base-url")
        self.model = writable(model)
        self.url = url
        self.concurrency = concurrency
        self.rate = rate
        self.wording = wording or Wording()
        self.identity = str(JudgeIdentity.openai(self.model, url, self.wording.prompts.version))
        self._key = key or ""
        self._options: dict[str, Any] = {
            "api_key": key or "none",
            "base_url": url,
            "timeout": timeout,
            "max_retries": retries,
        }
        self._patience = timeout + retries * (timeout + LONGEST_PAUSE)  # seconds; `timeout` is from byte to byte
        self._client: openai.AsyncOpenAI | None = None
        self._next_turn = 0.0
        self._replies = self._malformed = 0
        self._granted = Granted(self.wording.prompts.is_structured)

    def __repr__(self) -> str:
        return f"OpenAIJudge({self.identity})"

    async def open(self) -> None:
        """Connect. A server that is down, or a key that it refuses, fails here, before any question is asked."""
        self._granted.open()
        self._http = AlikeClient(PATH, timeout=self._options["timeout"])  # two thirds of the CPU of httpx
        self._client = openai.AsyncOpenAI(**self._options, http_client=self._http)
        try:
            await self._client.with_options(max_retries=1, timeout=CONNECT_TIMEOUT).models.list()
        except (openai.APIConnectionError, openai.AuthenticationError) as error:
            await self.close()
            raise self._explained(error) from None
        except (openai.OpenAIError, aiohttp.ClientError, ValueError, TypeError, AttributeError):
            pass  # it is there, and need not list its models
        self._replies = self._malformed = 0

    async def close(self) -> None:
        if self._client:
            await self._client.close()
            self._client = None

    @property
    def client(self) -> openai.AsyncOpenAI:
        """The connection to the server, between `open` and `close`."""
        if not self._client:
            raise RuntimeError("open() the judge before asking it")
        return self._client

    async def ask(self, question: Question) -> Reply:
        client, start, received, messages = self.client, 0.0, b"", self.wording.messages(question)
        for attempt in range(1 + min(MALFORMED_RETRIES, self._options["max_retries"])):
            if attempt:
                await asyncio.sleep(0.25 * 2**attempt)
            await self._wait_for_turn()
            start = time.perf_counter()
            received = await self._answer(client, messages)
            reply = _reply(_parsed(received), time.perf_counter() - start, self._granted.is_structured)
            if reply:
                self._replies += 1
                return self._in_our_terms(reply, messages)
        self._malformed += 1
        shown = self.readable(received.decode("utf-8", "backslashreplace"))
        if self._malformed > MALFORMED_ALLOWED + MALFORMED_SHARE * self._replies:
            raise NegRefineError(
                f"{self.url} does not answer as an OpenAI-compatible server; does the URL end in /v1? "
                f"{self._malformed:,} of {self._malformed + self._replies:,} answers were no replies of a model, "
                f"the last: {shown!r}. {GO_ON}"
            )
        return self._in_our_terms(Reply(shown, time.perf_counter() - start, malformed=True), messages)

    def request(self, question: Question) -> dict[str, Any]:
        """What the server is sent of a question, with the extras that it is known to grant."""
        return self._body(self.wording.messages(question), self._granted.extras)

    def reply_to(self, request: Mapping[str, Any], completion: object) -> Reply | None:
        """The reply to a `request` in a chat completion that came another way; None where this is none."""
        reply = _reply(completion, 0.0, "response_format" in request)
        return self._in_our_terms(reply, request["messages"]) if reply else None

    def _in_our_terms(self, reply: Reply, messages: list[Message]) -> Reply:
        """With the question where it was not put in the paper's words, and the answer out of its JSON."""
        if self.wording.prompts == PAPER:
            return reply
        text = answer_in(reply.text) if self.wording.prompts.is_structured else reply.text
        return replace(reply, text=text, prompt=messages[-1]["content"])

    async def _answer(self, client: openai.AsyncOpenAI, messages: list[Message]) -> bytes:
        """The server's answer to one question, whatever it is."""
        if not self._granted.is_known:
            once = client.with_options(max_retries=0)
            received = await self._granted.find_out(lambda extras: self._try(once, messages, extras))
            if received is not None:
                return received
        extras = self._granted.extras
        body = json.dumps(self._body(messages, extras)).encode()
        with self.in_our_words():
            async with asyncio.timeout(self._patience):
                return await self._http.content(body, lambda: self._post(client, messages, extras))

    async def tell(self, messages: list[Message], max_tokens: int) -> Reply:
        """What the model says to these messages, in its own words."""
        start = time.perf_counter()
        with self.in_our_words():
            received = await self._post(self.client, messages, {"max_tokens": max_tokens})
        reply = _reply(_parsed(received), time.perf_counter() - start)
        if reply is None:
            shown = self.readable(received.decode("utf-8", "backslashreplace"))
            raise NegRefineError(f"{self.url} sent no reply of a model, but: {shown!r}. Check the base URL")
        return reply

    async def _try(
        self, client: openai.AsyncOpenAI, messages: list[Message], extras: Extras
    ) -> tuple[int | None, bytes | None]:
        """(HTTP status where the server said one, its answer where it gave one)."""
        try:
            return 200, await self._post(client, messages, extras)
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise self._explained(error) from None
        except openai.APIStatusError as error:
            return error.status_code, None
        except UNANSWERED:
            return None, None

    async def _post(self, client: openai.AsyncOpenAI, messages: list[Message], extras: Extras) -> bytes:
        body = self._body(messages, extras)
        async with asyncio.timeout(self._patience):  # chat.completions.create would double the CPU with its types
            return await client.post(PATH, body=body, cast_to=bytes)

    def _body(self, messages: list[Message], extras: Extras) -> dict[str, Any]:
        is_structured = self.wording.prompts.is_structured
        return {
            "model": self.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": MAX_TOKENS_STRUCTURED if is_structured else MAX_TOKENS,
            **extras,
        }

    async def _wait_for_turn(self) -> None:
        if self.rate:
            now = time.monotonic()
            turn = max(now, self._next_turn)
            self._next_turn = turn + 60 / self.rate
            await asyncio.sleep(turn - now)

    @contextmanager
    def in_our_words(self) -> Iterator[None]:
        """Where the server does not answer, one line that says so: the SDK's own error may quote the request."""
        try:
            yield
        except UNANSWERED as error:
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> NegRefineError:
        match error:
            case _ if _timed_out(error):
                reason = "does not answer in time; is the server busy or hanging?"
            case openai.APIConnectionError():
                return NegRefineError(f"cannot reach {self.url}; check that the server runs and the base URL. {GO_ON}")
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                reason = f"refuses the key ({error.status_code}); check OPENAI_API_KEY."
            case openai.NotFoundError():
                reason = f"has no model {self.model!r}, or the base URL lacks its /v1."
            case openai.APIStatusError():
                reason = f"fails with {error.status_code} ({self._reason(error)})."
            case _:
                reason = "does not answer as an OpenAI-compatible server; does the URL end in /v1?"
        return NegRefineError(f"{self.url} {reason} {GO_ON}")

    def _reason(self, error: openai.APIStatusError) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        return self.readable(str(body.get("message") or type(error).__name__))

    def readable(self, text: str) -> str:
        """A server's own words, cut short, without the key if it quotes it."""
        return writable(text.replace(self._key, "***") if self._key else text)[:SHOWN]


def writable(text: str) -> str:
    """The text with half characters (lone surrogates, which JSON may hold and no file) spelt out, as in "\\ud800"."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _parsed(received: bytes) -> object:
    """The JSON value; None where this is none."""
    try:
        return json.loads(received)
    except (ValueError, RecursionError):
        return None


def _reply(completion: Any, latency: float, is_structured: bool = False) -> Reply | None:
    """A chat completion's reply; None where this is none."""
    try:
        text = completion["choices"][0]["message"]["content"]
        model, usage = completion.get("model"), completion.get("usage")
        certainty = p_yes(completion["choices"][0].get("logprobs"), is_structured)
    except (LookupError, TypeError, AttributeError):
        return None
    if not isinstance(text, str):
        return None
    counts = usage if isinstance(usage, dict) else {}
    return Reply(
        writable(text),
        latency,
        writable(model) if isinstance(model, str) else None,
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
        p_yes=certainty,
        p_yes_from=None if certainty is None else "first token",
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _timed_out(error: BaseException | None) -> bool:
    """Whether a time-out is at the bottom of it; the SDK calls a refused connection one too."""
    while error and not isinstance(error, TimeoutError):
        error = error.__cause__
    return error is not None
