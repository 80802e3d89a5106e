"""Work beside the work: in order, with its errors where they are seen, and nothing left undone."""

import threading
from collections.abc import Iterator

import pytest

from negrefine_core.background import WAITING, Behind, ahead
from negrefine_core.errors import NegRefineError


def test_items_made_ahead_come_in_order_and_no_more_are_made_than_asked_for() -> None:
    made: list[int] = []
    for item in ahead(iter(made.append(i) or i for i in range(20)), ready=3):
        assert made == list(range(len(made)))
        assert item < len(made) <= item + 5
        if item == 9:
            break
    assert len(made) < 15


def test_an_error_in_making_an_item_comes_where_the_item_would_and_ends_the_thread() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise NegRefineError("no more")

    before = threading.active_count()
    items = ahead(failing())
    assert next(items) == 1
    with pytest.raises(NegRefineError, match="no more"):
        next(items)
    assert threading.active_count() == before


def test_items_are_handed_on_behind_in_order_those_that_wait_together_and_all_when_it_is_left() -> None:
    turns: list[list[int]] = []
    first = threading.Event()

    def work(items: list[int]) -> None:
        turns.append(items)
        first.wait()

    with Behind(work) as behind:
        for i in range(WAITING):
            behind.do(i)
        first.set()
        for i in range(WAITING, 3 * WAITING):
            behind.do(i)
    assert [i for items in turns for i in items] == list(range(3 * WAITING))
    assert len(turns) <= 2 + 2 * WAITING  # of the first, all but those of the first turn came together


def test_an_error_behind_is_raised_by_the_next_call_or_on_leaving() -> None:
    done: list[str] = []

    def work(items: list[str]) -> None:
        done.extend(item for item in items if item != "fail")
        if "fail" in items:
            raise NegRefineError("disk full")

    with pytest.raises(NegRefineError, match="disk full"), Behind(work) as behind:  # noqa: PT012
        behind.do("before")
        behind.do("fail")
    assert done == ["before"]
    with pytest.raises(KeyError), Behind(work) as behind:  # noqa: PT012 - what ended the work is raised, not what followed
        behind.do("fail")
        raise KeyError
    with pytest.raises(NegRefineError, match="disk full"), Behind(work) as behind:  # noqa: PT012
        behind.do("fail")
        for _ in range(2 * WAITING):
            behind.do("more")
