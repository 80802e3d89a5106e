"""Work of seconds, such as loading a model, in a thread of the app, while the page stays live."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st

from . import clicks

T = TypeVar("T")

THREAD = "background"
AT_ONCE, ASIDE = 0.3, 0.1  # seconds: what is quick appears without a sign of waiting
KEPT = 24  # results


@dataclass
class _Work:
    """One thread, so that two models are never loaded at once, another for what nothing else may wait for, and the
    latest results by key."""

    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, THREAD))
    aside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, THREAD))
    futures: dict[tuple[Any, ...], Future[Any]] = field(default_factory=dict)


@st.cache_resource(show_spinner=False)
def _work() -> _Work:
    log = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    log.addFilter(lambda record: not str(record.threadName).startswith(THREAD))  # it warns of threads without a page
    return _Work()


def begin(key: tuple[Any, ...], work: Callable[[], Any], aside: bool = False) -> Future[Any]:
    """Start work that a page is going to need, unless it is there; `aside`, where no other work waits for it."""
    kept = _work()
    future = kept.futures.get(key)
    if future is None:
        future = kept.futures[key] = (kept.aside if aside else kept.thread).submit(work)
        for old in [k for k, f in kept.futures.items() if f.done() and k != key][:-KEPT]:
            kept.futures.pop(old, None)
    return future


def known(key: tuple[Any, ...]) -> Any:
    """What work that is done returned; None where it is not done, has failed or was never begun."""
    future = _work().futures.get(key)
    return future.result() if future and future.done() and not future.exception() else None


def result(key: tuple[Any, ...], work: Callable[[], T], doing: str, aside: bool = False) -> T | None:
    """What `work` returns, kept by `key`; None and a sign of waiting until it is there.

    Raises what `work` raised; the next call then tries again.
    """
    future = begin(key, work, aside)
    try:
        found: T = future.result(ASIDE if aside else AT_ONCE)
    except TimeoutError:
        _waiting(key, doing)
        return None
    except BaseException:
        _work().futures.pop(key, None)
        raise
    return found


@st.fragment(run_every=0.7)
def _waiting(key: tuple[Any, ...], doing: str) -> None:
    future = _work().futures.get(key)
    if future is None or future.done():
        clicks.rerun()
    st.caption(f":material/hourglass_top: {doing}")
