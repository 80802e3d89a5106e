"""Work beside the work: what is needed next is made ready ahead, what is done is kept behind, each in a thread."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
_END = object()

WAITING = 16  # items that may wait to be handed on: each holds its memory


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


class Behind(Generic[T]):
    """Hands on what it is given in a thread, in its order: all that waits by then at once, for work that costs as much
    for one as for many. All of it is handed on before it is left.

    An error is raised by the next call or on leaving.
    """

    def __init__(self, work: Callable[[list[T]], None]) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1)
        self._items: deque[T] = deque()
        self._turns: deque[Future[None]] = deque()

    def do(self, item: T) -> None:
        """Returns at once, unless WAITING items are still to be handed on."""
        while self._turns and (len(self._turns) >= WAITING or self._turns[0].done()):
            self._turns.popleft().result()
        self._items.append(item)
        self._turns.append(self._thread.submit(self._turn))

    def _turn(self) -> None:
        items = [self._items.popleft() for _ in range(len(self._items))]
        if items:  # else an earlier turn took it along
            self._work(items)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._thread.shutdown()
        if error is None:
            for turn in self._turns:
                turn.result()
