"""The OpenAI judge against a real HTTP server on loopback: its wire, its faults, its interruptions."""

import asyncio
import json
import multiprocessing
import os
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from negrefine_core import pipeline
from negrefine_core.errors import Cancelled, NegRefineError
from negrefine_core.judge import SYSTEM_PROMPT, Question, Reply
from negrefine_core.judges import openai as openai_judge
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.why import ask_why
from negrefine_core.judges.wording import Glossary, Wording
from negrefine_core.lexicon import WordNet
from negrefine_core.mining import Negative
from negrefine_core.negfilter import Verdict, judge_chains
from negrefine_core.prompts import GLOSSED
from negrefine_core.runs import Run, Settings
from tests.support.jobs import HANG, until
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.project import ROOT
from tests.support.refine_child import HashEncoder, refine

KEY = "sk-secret-1234567890"
IDS = [f"class {letter}" for letter in "abcde"]
WORDS = [f"word{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]  # 64 negatives, 6 questions each


def judge_at(server: LoopbackServer, concurrency: int = 8, timeout: float = HANG, retries: int = 2) -> OpenAIJudge:
    return OpenAIJudge("small", server.url, api_key=KEY, concurrency=concurrency, timeout=timeout, retries=retries)


def chains(n: int, length: int = 3) -> list[list[Question]]:
    return [
        [Question(f"word {i}", "proper noun"), *(Question(f"word {i}", "subcategory", c) for c in IDS[: length - 1])]
        for i in range(n)
    ]


def make_run(runs: Path, name: str = "r", ids: list[str] = IDS, words: list[str] = WORDS) -> Run:
    run = Run.create(name, Settings(n_groups=4), ids, runs)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in words)
    return run


def some_yes(prompt: str) -> Action:
    """Yes for about one question in eight, always the same ones."""
    return Action("Yes" if sum(prompt.encode()) % 8 == 0 else "No", delay=0.01)


# --- the wire -------------------------------------------------------------------------------------------------------


def test_it_sends_the_papers_messages_and_keeps_the_evidence() -> None:
    with LoopbackServer(lambda _: Action(" Yes, it is.", delay=0.05)) as server:
        ((verdict,),) = judge_chains(judge_at(server), [[Question("oslo", "proper noun")]])
    (request,) = server.requests
    assert [m["content"] for m in request["messages"]] == [SYSTEM_PROMPT, verdict.prompt]
    assert request["model"] == "small"
    assert request["temperature"] == 0
    assert request["max_tokens"] <= 16
    assert (verdict.answer, verdict.reply, verdict.model) == ("yes", " Yes, it is.", "loopback-1")
    assert (verdict.prompt_tokens, verdict.completion_tokens) == (40, 1)
    assert verdict.latency >= 0.05
    assert verdict.judge == f"openai:small@{server.url}"


def test_the_questions_of_one_label_come_in_order_and_end_at_the_first_yes() -> None:
    with LoopbackServer(lambda prompt: Action("Yes" if "'class a'" in prompt else "No")) as server:
        judged = judge_chains(judge_at(server), chains(20, 4))
    assert [[v.answer for v in chain] for chain in judged] == [["no", "yes"]] * 20
    for i in range(20):
        asked = [prompt for _, prompt in server.asked if f"'word {i}'" in prompt]
        assert asked == [question.prompt for question in chains(20, 4)[i][:2]]


def test_the_server_sees_the_bounded_number_in_flight_and_never_more() -> None:
    with LoopbackServer(lambda _: Action(delay=0.05)) as server:
        judge_chains(judge_at(server, concurrency=16), chains(60, 1))
    assert server.most_in_flight == 16


def test_a_rate_limit_spaces_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    clock = SimpleNamespace(monotonic=lambda: 1000.0, perf_counter=lambda: 0.0)  # it stands still
    monkeypatch.setattr(openai_judge, "asyncio", SimpleNamespace(sleep=sleep, timeout=asyncio.timeout))
    monkeypatch.setattr(openai_judge, "time", clock)
    with LoopbackServer() as server:
        judge_chains(OpenAIJudge("small", server.url, concurrency=8, rate=1200), chains(5, 1))
    assert len(server.asked) == 5
    assert waits == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])  # one each 50 ms


def test_an_unclear_reply_is_recorded_as_such_and_counts_as_no() -> None:
    with LoopbackServer(lambda _: Action("Perhaps.")) as server:
        (chain,) = judge_chains(judge_at(server), chains(1, 3))
    assert [(v.answer, v.reply) for v in chain] == [("unclear", "Perhaps.")] * 3


def test_an_older_verdict_line_without_tokens_can_still_be_read(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    line = {"negative": "oslo", "kind": "proper noun", "id_label": None, "similarity": None, "prompt": "p",
            "reply": "Yes", "answer": "yes", "judge": "wordnet", "time": "", "latency": 0.0}  # fmt: skip
    run.path("verdicts.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert run.verdicts[0].prompt_tokens is None


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 8])  # after a first answer, and before
@pytest.mark.parametrize("status", [429, 500])
def test_a_busy_or_failing_server_is_asked_again_after_a_pause(status: int, concurrency: int) -> None:
    seen: Counter[str] = Counter()

    def busy_at_first(prompt: str) -> Action:
        seen[prompt] += 1
        return Action("No") if seen[prompt] > 2 else Action(status=status, headers={"retry-after-ms": "20"})

    with LoopbackServer(busy_at_first) as server:
        judged = judge_chains(judge_at(server, concurrency, retries=3), chains(3, 1))
    assert [chain[0].answer for chain in judged] == ["no"] * 3
    assert set(seen.values()) == {3}


def test_a_server_that_is_down_from_the_start_is_named_before_any_question_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Question] = []

    async def ask(judge: OpenAIJudge, question: Question) -> Reply:
        asked.append(question)
        return Reply("No")

    monkeypatch.setattr(OpenAIJudge, "ask", ask)
    with LoopbackServer() as server:
        url = server.url
    with pytest.raises(NegRefineError, match=f"cannot reach {url}"):
        judge_chains(OpenAIJudge("small", url, api_key=KEY), chains(100))
    assert asked == []


def test_a_refused_key_stops_the_run_at_once_and_is_not_shown() -> None:
    quoted = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})
    refuse = LoopbackServer(lambda _: Action(status=401, body=quoted))
    with refuse as server, pytest.raises(NegRefineError, match="refuses the key") as caught:
        judge_chains(judge_at(server, concurrency=4), chains(100))
    assert len(server.asked) <= 4
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Action(status=404), "has no model 'small'"),
        (Action(status=500), "fails with 500"),
        (Action(status=401), "refuses the key"),
        (Action(body="<html>a login page</html>"), "OpenAI-compatible"),
        (Action(body='{"choices": []}'), "OpenAI-compatible"),
        (Action(body='{"cut": '), "OpenAI-compatible"),
        (Action(die=True), "cannot reach"),
        (Action(cut=10), "cannot reach"),
        (Action(hang=True), "does not answer in time"),
    ],
)
def test_every_fault_ends_in_one_message_that_names_the_server(action: Action, message: str) -> None:
    with LoopbackServer(lambda _: action) as server, pytest.raises(NegRefineError, match=message) as caught:
        judge_chains(judge_at(server, timeout=0.5 if action.hang else HANG, retries=0), chains(4))
    assert server.url in str(caught.value)
    assert "Every answer so far is kept: start it again to go on" in str(caught.value)


def test_a_reply_that_drips_in_for_ever_does_not_answer_in_time() -> None:
    drip = LoopbackServer(lambda _: Action(drip=0.05))  # a byte comes well within the time-out, the last never does
    with drip as server, pytest.raises(NegRefineError, match="does not answer in time"):
        judge_chains(judge_at(server, timeout=1, retries=0), chains(1, 1))


def test_a_server_that_dies_half_way_costs_nothing_that_was_answered(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with LoopbackServer() as server:
        server.behave = lambda p: Action(die=True) if len(server.answered) >= 100 else some_yes(p)
        with pytest.raises(NegRefineError, match="start it again to go on"):
            pipeline.refine(run, HashEncoder(), judge_at(server, retries=0))
        answered = {prompt for _, prompt in server.answered}
        assert len(answered) >= 100
        assert {v.prompt for v in run.verdicts} == answered
        server.behave, server.asked = some_yes, []
        pipeline.refine(run, HashEncoder(), judge_at(server))
        assert answered.isdisjoint(prompt for _, prompt in server.asked)
    assert run.negatives == undisturbed(tmp_path).negatives


def test_a_cancelled_run_keeps_its_answers(tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        if done == 5:
            raise Cancelled("enough")

    with LoopbackServer(some_yes) as server, make_run(tmp_path).verdict_log() as log, pytest.raises(Cancelled):
        judge_chains(judge_at(server), chains(50), None, log.append, cancel)
    assert len(Run.open(tmp_path / "r").verdicts) >= 5


def undisturbed(tmp_path: Path) -> Run:
    run = make_run(tmp_path / "undisturbed")
    with LoopbackServer(lambda prompt: replace(some_yes(prompt), delay=0)) as server:
        pipeline.refine(run, HashEncoder(), judge_at(server))
    return run


# --- interruptions of the process -----------------------------------------------------------------------------------


def start_refining(*arguments: object) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.refine_child"])  # it imports torch once, for all children
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        process = context.Process(target=refine, args=arguments)
        process.start()
    return process


def essence(run: Run) -> list[tuple[object, ...]]:
    """The verdicts but for when, how fast and on which port they were given."""
    return sorted((v.negative, v.kind, v.id_label or "", v.similarity or 0, v.reply) for v in run.verdicts)


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_file_and_ask_nothing_twice(tmp_path: Path) -> None:
    run, moments = make_run(tmp_path), random.Random(3)  # noqa: S311 - moments, not secrets
    kept: list[tuple[int, set[str]]] = []  # at each kill: questions so far, and those whose answer is on disk
    with LoopbackServer(some_yes) as server:
        for _ in range(10):
            before = len(server.answered)
            process = start_refining(run.folder, server.url, tmp_path / "verdicts.sqlite")
            until(lambda before=before: len(server.answered) > before)
            time.sleep(moments.uniform(0, 0.03))
            process.kill()
            process.join()
            assert process.exitcode == -9
            until(lambda: server.in_flight == 0)  # the server has noticed
            kept.append((len(server.asked), {verdict.prompt for verdict in run.verdicts}))
        pipeline.refine(run, HashEncoder(), CachedJudge(OpenAIJudge("m", server.url), tmp_path / "verdicts.sqlite"))
    calm = undisturbed(tmp_path)
    assert run.path("negatives.csv").read_bytes() == calm.path("negatives.csv").read_bytes()
    assert run.info.permutation == calm.info.permutation
    assert essence(run) == essence(calm)
    # A question is asked again only if its answer was under way when the process was killed.
    asked = [prompt for _, prompt in server.asked]
    for questions, written in kept:
        assert written.isdisjoint(asked[questions:])
    again = {prompt for prompt, times in Counter(asked).items() if times > 1}
    assert len(again) <= 8 * len(kept)


@pytest.mark.slow
def test_answers_that_had_arrived_before_a_kill_are_never_asked_for_again(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with LoopbackServer() as server:
        server.behave = lambda prompt: Action(hang=True) if len(server.asked) > 90 else some_yes(prompt)
        process = start_refining(run.folder, server.url, None)
        until(
            lambda: len(server.asked) == 90 + 8 and server.in_flight == 8
        )  # all in flight hang: no answer comes any more
        until(lambda: {verdict.prompt for verdict in run.verdicts} == {prompt for _, prompt in server.answered})
        process.kill()
        process.join()
        answered = {prompt for _, prompt in server.answered}
        server.behave = some_yes
        server.asked = []
        pipeline.refine(run, HashEncoder(), OpenAIJudge("m", server.url))
    assert answered.isdisjoint(prompt for _, prompt in server.asked)
    assert max(Counter(prompt for _, prompt in server.answered).values()) == 1


@pytest.mark.slow
def test_a_full_disk_is_named_and_costs_nothing_that_was_written(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with LoopbackServer(some_yes) as server:
        process = start_refining(run.folder, server.url, None, 20_000)
        process.join(HANG)
        assert process.exitcode == 1
        written = {v.prompt for v in run.verdicts}
        assert 20 < len(written) < 100
        server.asked = []
        pipeline.refine(run, HashEncoder(), OpenAIJudge("m", server.url))
        assert written.isdisjoint(prompt for _, prompt in server.asked)
    assert run.negatives == undisturbed(tmp_path).negatives


# --- the key --------------------------------------------------------------------------------------------------------


def test_the_key_is_in_no_file_no_message_and_no_repr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    run = make_run(tmp_path)
    with LoopbackServer(some_yes) as server:
        judge = CachedJudge(OpenAIJudge("small", server.url), tmp_path / "verdicts.sqlite")
        pipeline.refine(run, HashEncoder(), judge)
    assert any(f"Bearer {KEY}" in head for head in server.headers)  # it does go to the server
    assert KEY not in repr(judge) + repr(judge.judge) + caplog.text + "".join(capfd.readouterr())
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path
    quoting = LoopbackServer(lambda _: Action(status=500, body=json.dumps({"error": {"message": KEY}})))
    with quoting as server, pytest.raises(NegRefineError) as caught:
        judge_chains(OpenAIJudge("small", server.url, retries=0), chains(1))
    assert KEY not in str(caught.value)


def test_credentials_in_the_url_are_refused_and_openai_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(NegRefineError, match="OPENAI_API_KEY") as caught:
        OpenAIJudge("small", "https://me:pass@example.org/v1")
    assert "pass@" not in str(caught.value)
    with pytest.raises(NegRefineError, match="set OPENAI_API_KEY"):
        OpenAIJudge("gpt-4o-mini")
    with pytest.raises(NegRefineError, match="no base URL"):
        OpenAIJudge("small", "localhost:8000")


# --- a real model ---------------------------------------------------------------------------------------------------


def real_judge(**more: Any) -> OpenAIJudge:
    """The README's section on the judge says how to start one."""
    return OpenAIJudge(os.environ.get("NEGREFINE_LLM_MODEL", "default"), os.environ["NEGREFINE_LLM_URL"], **more)


REAL = pytest.mark.skipif("NEGREFINE_LLM_URL" not in os.environ, reason="NEGREFINE_LLM_URL names no server")


@REAL
def test_a_real_model_answers() -> None:
    ((verdict, *_),) = judge_chains(real_judge(), [[Question("oslo", "proper noun")]])
    assert isinstance(verdict, Verdict)
    assert verdict.reply
    assert verdict.model
    assert verdict.prompt_tokens


@REAL
def test_a_real_model_answers_in_other_words_and_says_why(tmp_path: Path, wordnet: WordNet) -> None:
    wording = Wording(GLOSSED, Glossary(["safe", "ship"], wordnet))
    asked = [[Question("common sage", "subcategory", "safe")], [Question("oslo", "proper noun")]]
    verdicts = [chain[0] for chain in judge_chains(real_judge(wording=wording), asked)]
    assert {verdict.answer for verdict in verdicts} <= {"yes", "no"}
    assert ask_why(Run.create("r", Settings(), ["safe"], tmp_path), verdicts[0]).text
