"""The SDK's HTTP client, which can send one more body as the SDK has sent others: in half the processor time."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import openai

T = TypeVar("T")

_tried: ContextVar[Any] = ContextVar("tried", default=None)  # a first try's response, or the error that it came to


class AlikeClient(openai.DefaultAioHttpClient):
    """`path` ends the URL of the requests that are alike."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(**options)
        self._path = path
        self._like: Any = None  # the last request of the SDK's

    async def send(self, request: Any, **options: Any) -> Any:
        """As the SDK asks for it, but what was tried already is not sent again."""
        tried = _tried.get()
        if tried is not None:
            _tried.set(None)
            if isinstance(tried, Exception):
                raise tried
            return tried
        if request.url.path.endswith(self._path):
            self._like = request
        return await super().send(request, **options)

    async def content(self, body: bytes, by_sdk: Callable[[], Awaitable[T]]) -> T | bytes:
        """The content of the answer to a body. Where it is no good one, the SDK goes on from there: with its pauses,
        its further tries and its errors."""
        if self._like is None:
            return await by_sdk()
        try:
            response = await super().send(self._alike(body))
        except Exception as error:  # the SDK knows which of them is worth another try
            _tried.set(error)
            return await by_sdk()
        if response.status_code == 200:
            return response.content
        _tried.set(response)
        return await by_sdk()

    def _alike(self, body: bytes) -> Any:
        like = self._like
        headers = [(name, value) for name, value in like.headers.raw if name.lower() != b"content-length"]
        return type(like)(like.method, like.url, headers=headers, content=body, extensions=like.extensions)
