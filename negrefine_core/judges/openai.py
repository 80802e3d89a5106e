"""The language model as NegFilter's judge, behind any OpenAI-compatible server (paper, section 4.1)."""

import asyncio
import os
import time
from typing import Any
from urllib.parse import urlsplit

import openai

from ..errors import NegRefineError
from ..hyperparameters import IN_FLIGHT
from ..judge import SYSTEM_PROMPT, JudgeIdentity, Question, Reply

OPENAI_URL = "https://api.openai.com/v1"
MAX_TOKENS = 8  # "Yes" or "No", and room to see what an unclear reply wanted to say
TIMEOUT = 60.0  # seconds for one reply, which a busy local server may need
CONNECT_TIMEOUT = 5.0  # seconds for a server to be there at all
RETRIES = 6  # by the SDK, after 0.5, 1, 2, 4, 8, 8 s: outlasts a server's restart


class OpenAIJudge:
    """Asks a language model at temperature 0, `concurrency` labels at once.

    Args:
        model: the server's name for the model.
        base_url: the server, up to `/v1`; OPENAI_BASE_URL or OpenAI's own when not given.
        api_key: OPENAI_API_KEY when not given; a local server needs none. It goes to the server and nowhere else.
        rate: at most so many questions a minute.

    Raises NegRefineError when the key is missing, and while judging when the server cannot be used.
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
        self.model = model
        self.url = url
        self.concurrency = concurrency
        self.rate = rate
        self.identity = str(JudgeIdentity.openai(model, url))
        self._options: dict[str, Any] = {
            "api_key": key or "none",
            "base_url": url,
            "timeout": timeout,
            "max_retries": retries,
        }
        self._client: openai.AsyncOpenAI | None = None
        self._next_turn = 0.0

    def __repr__(self) -> str:
        return f"OpenAIJudge({self.identity})"

    async def open(self) -> None:
        """Connect. A server that is down, or a key that it refuses, fails here, before any question is asked."""
        http = openai.DefaultAioHttpClient(timeout=self._options["timeout"])  # two thirds of the CPU of httpx
        self._client = openai.AsyncOpenAI(**self._options, http_client=http)
        try:
            await self._client.with_options(max_retries=1, timeout=CONNECT_TIMEOUT).models.list()
        except (openai.APIConnectionError, openai.AuthenticationError) as error:
            await self.close()
            raise self._explained(error) from None
        except (openai.OpenAIError, ValueError, TypeError, AttributeError):
            pass  # it is there, and need not list its models

    async def close(self) -> None:
        if self._client:
            await self._client.close()
            self._client = None

    async def ask(self, question: Question) -> Reply:
        if not self._client:
            raise RuntimeError("open() the judge before asking it")
        await self._wait_for_turn()
        start = time.perf_counter()
        try:
            completion: Any = await self._client.post(  # chat.completions.create would double the CPU with its types
                "/chat/completions",
                body={
                    "model": self.model,
                    "messages": [
                        {"role": "system", "content": SYSTEM_PROMPT},
                        {"role": "user", "content": question.prompt},
                    ],
                    "temperature": 0,
                    "max_tokens": MAX_TOKENS,
                },
                cast_to=object,
            )
            usage = completion.get("usage") or {}
            return Reply(
                completion["choices"][0]["message"]["content"] or "",
                time.perf_counter() - start,
                completion.get("model"),
                usage.get("prompt_tokens"),
                usage.get("completion_tokens"),
            )
        except (openai.OpenAIError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._explained(error) from None  # the SDK's own error may quote the request

    async def _wait_for_turn(self) -> None:
        if self.rate:
            now = time.monotonic()
            turn = max(now, self._next_turn)
            self._next_turn = turn + 60 / self.rate
            await asyncio.sleep(turn - now)

    def _explained(self, error: Exception) -> NegRefineError:
        go_on = "Every answer so far is kept: start it again to go on"
        match error:
            case openai.APIConnectionError() if _timed_out(error):
                return NegRefineError(f"{self.url} does not answer in time; is the server busy or hanging? {go_on}")
            case openai.APIConnectionError():
                return NegRefineError(f"cannot reach {self.url}; check that the server runs and the base URL. {go_on}")
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return NegRefineError(f"{self.url} refuses the key ({error.status_code}); check OPENAI_API_KEY")
            case openai.NotFoundError():
                return NegRefineError(f"{self.url} has no model {self.model!r}, or the base URL lacks its /v1")
            case openai.APIStatusError():
                return NegRefineError(f"{self.url} fails with {error.status_code} ({self._reason(error)}). {go_on}")
        return NegRefineError(f"{self.url} does not answer as an OpenAI-compatible server; does the URL end in /v1?")

    def _reason(self, error: openai.APIStatusError) -> str:
        """The server's own words, cut short, without the key if it quotes it."""
        body = error.body if isinstance(error.body, dict) else {}
        message = str(body.get("message") or type(error).__name__)
        return message.replace(self._options["api_key"], "***")[:200]


def _timed_out(error: BaseException | None) -> bool:
    """Whether a time-out is at the bottom of it; the SDK calls a refused connection one too."""
    while error and not isinstance(error, TimeoutError):
        error = error.__cause__
    return error is not None
