"""Work beside the work: what is needed next is made ready ahead, what is done is written behind, each in a thread."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")
_END = object()

WAITING = 4  # pieces of work that may wait to be written: each holds its memory


def ahead(items: Iterator[T], ready: int = 2) -> Iterator[T]:
    """The items in their order; while one is used, a thread makes up to `ready` more.

    An error in making an item is raised where the item would come.
    """
    with ThreadPoolExecutor(1) as thread:
        made = deque(thread.submit(next, items, _END) for _ in range(ready))
        try:
            while (item := made.popleft().result()) is not _END:
                made.append(thread.submit(next, items, _END))
                yield item  # type: ignore[misc] # it is not the end
        finally:
            thread.shutdown(cancel_futures=True)


class Behind:
    """Does what it is given in a thread, one after the other, and all of it before it is left.

    An error is raised by the next call or on leaving.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Returns at once, unless WAITING pieces of work are still to be done."""
        while self._waiting and (len(self._waiting) >= WAITING or self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(work))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._thread.shutdown()
        if error is None:
            for done in self._waiting:
                done.result()
