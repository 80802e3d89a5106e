"""A server that does not answer: it is said who is waited for, and waiting can be ended."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable

import pytest

from negrefine_core import negfilter
from negrefine_core.errors import Cancelled
from negrefine_core.judge import Question, Wait
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.negfilter import judge_chains, now_and_then
from tests.support.jobs import HANG, until
from tests.support.loopback_server import Action, LoopbackServer

CHAINS = [[Question(f"word {i}", "proper noun")] for i in range(6)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negfilter, "LOOK", 0.02)
    monkeypatch.setattr(negfilter, "QUIET", 1.0)


def judge_at(server: LoopbackServer) -> OpenAIJudge:
    return OpenAIJudge("small", server.url, api_key="none", concurrency=4, timeout=HANG, retries=0)


def test_it_is_said_who_is_waited_for_and_that_answers_come_again() -> None:
    said: list[Wait | None] = []
    with LoopbackServer(lambda _: Action(delay=0.0 if said else 2.5)) as server:
        judge_chains(judge_at(server), CHAINS, on_wait=said.append)
    first = said[0]
    assert first
    assert (first.whom, first.in_flight) == (server.url, 4)
    assert first.seconds >= 1
    assert str(Wait("http://a/v1", 12, 64)) == "waiting for http://a/v1, 12 s, 64 questions in flight"
    assert str(Wait("http://a/v1", 5, 1)).endswith("1 question in flight")


def test_a_wait_is_said_again_when_it_has_doubled() -> None:
    said: list[str] = []
    tell = now_and_then(said.append)
    for second in (5, 6, 9, 10, 11, 21, 25):
        tell(Wait("x", second, 1))
    tell(None)
    tell(Wait("x", 5, 1))
    assert [line.split(", ")[1] for line in said] == ["5 s", "10 s", "21 s", "5 s"]


def cancel_at_a_look(done: int, total: int) -> None:
    raise Cancelled("enough")


def test_progress_can_cancel_while_no_answer_comes() -> None:
    with LoopbackServer(lambda _: Action(hang=True)) as server, pytest.raises(Cancelled):
        judge_chains(judge_at(server), CHAINS, progress=cancel_at_a_look)


def test_where_nobody_listens_the_wait_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    def cancel(done: int, total: int) -> None:
        if "waiting for" in caplog.text:
            raise Cancelled("enough")

    with LoopbackServer(lambda _: Action(hang=True)) as server, pytest.raises(Cancelled):
        judge_chains(judge_at(server), CHAINS, progress=cancel)
    assert f"waiting for {server.url}, 1 s, 4 questions in flight" in caplog.text


def ask(server: LoopbackServer) -> None:
    judge_chains(judge_at(server), CHAINS)


async def ask_in_notebook(server: LoopbackServer) -> None:
    ask(server)


def run_notebook(server: LoopbackServer) -> None:
    with contextlib.closing(asyncio.new_event_loop()) as loop:  # it leaves the signal to its thread, as Jupyter's does
        loop.run_until_complete(ask_in_notebook(server))


@pytest.mark.parametrize("work", [ask, run_notebook])
def test_an_interrupt_ends_the_waiting(work: Callable[[LoopbackServer], None]) -> None:
    def press_stop() -> None:
        until(lambda: server.in_flight == 4)
        os.kill(os.getpid(), signal.SIGINT)

    with LoopbackServer(lambda _: Action(hang=True)) as server:
        threading.Thread(target=press_stop, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            work(server)
