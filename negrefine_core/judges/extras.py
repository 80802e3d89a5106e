"""What a language model's server is asked for beyond the paper's request: a structured answer, and how sure it is."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Extras = Mapping[str, Any]  # fields of the request

NO_REFUSAL = (408, 409, 429)  # of the extras: these statuses speak of the pace
FAULT = 500  # and above: a server's own fault, or how some servers refuse

_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["Yes", "No"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
_STRUCTURED: tuple[Extras, ...] = (
    {  # OpenAI, vLLM, Ollama, llama.cpp
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": _SCHEMA},
        }
    },
    {"response_format": {"type": "json_object", "schema": _SCHEMA}},  # llama-cpp-python
)

_ANSWER = re.compile(r'\s*{\s*"answer"\s*:\s*"(Yes|No)\b')
_LOGPROBS: Extras = {"logprobs": True, "top_logprobs": 5}  # no server that gives them gives fewer


class Granted:
    """What a server grants of what it is asked for: found out with the first questions, and remembered.

    `extras` are granted for sure once `is_known`, and none before.
    """

    def __init__(self, is_structured: bool) -> None:
        forms: tuple[Extras, ...] = (*(_STRUCTURED if is_structured else ()), {})
        self._tries: list[Extras] = [*({**form, **_LOGPROBS} for form in forms), *forms]  # from the most to none
        self.extras: Extras = {}
        self.is_known = False

    @property
    def is_structured(self) -> bool:
        return "response_format" in self.extras

    def open(self) -> None:
        """Before the first question, in the event loop that asks it."""
        self._asking = asyncio.Lock()

    async def find_out(self, ask: Callable[[Extras], Awaitable[tuple[int | None, bytes | None]]]) -> bytes | None:
        """The answer to a question with as many extras as the server grants; None where it does not answer now.

        Args:
            ask: puts the question once with these extras: (HTTP status if there is one, the answer if there is one).
        """
        status, answer = await ask(self._tries[0])
        if answer is not None:
            return self._know(self._tries[0], answer)
        if status is None or status in NO_REFUSAL:
            return None
        async with self._asking:
            if self.is_known:  # while this question waited
                return None
            for extras in self._tries[1:]:
                _, answer = await ask(extras)
                if answer is None:
                    continue
                again = (await ask(self._tries[0]))[1] if status >= FAULT else None  # was it a fault that is over?
                return self._know(extras, answer) if again is None else self._know(self._tries[0], again)
        return None

    def _know(self, extras: Extras, answer: bytes) -> bytes:
        self.extras, self.is_known = extras, True
        return answer


def answer_in(text: str) -> str:
    """The answer of a structured reply, which may be cut off after it; the reply itself where it is none."""
    found = _ANSWER.match(text)
    return found[1] if found else text
