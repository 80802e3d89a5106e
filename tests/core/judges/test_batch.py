"""A run's questions in batches at half the price, against a real HTTP server on loopback."""

import json
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from negrefine_core import paths, pipeline
from negrefine_core.cli import app
from negrefine_core.cli import judges as commands
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.judges import batch as batch_module
from negrefine_core.judges.batch import Batches, Collected
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.estimate import next_questions
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.wording import Wording
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.mining import Negative
from negrefine_core.prompts import PAPER, PromptSet
from negrefine_core.runs import Run, Settings
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder

KEY = "sk-secret-of-batches"
IDS = ["red fox", "oak", "ship"]
WORDS = ["granite", "velvet", "thunder", "oslo", "oak", "barge"]


STRUCTURED = PromptSet("own", "Yes or No.", "Is '{negative}' a proper noun?", "Is '{negative}' a '{id_label}'?", True)


def says(prompt: str) -> Action:
    is_yes = prompt.startswith("Is 'oslo' a proper noun") or ("'barge'" in prompt and "'ship'" in prompt)
    return Action("Yes" if is_yes else "No", likely={"Yes": 0.9, "No": 0.1} if is_yes else {"Yes": 0.2, "No": 0.8})


def make_run(runs: Path, name: str = "r", **settings: object) -> Run:
    run = Run.create(name, Settings.model_validate({"n_groups": 2} | settings), IDS, runs)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    return run


def batches_of(run: Run, server: LoopbackServer, prompts: PromptSet = PAPER) -> Batches:
    judge = OpenAIJudge("m", server.url, api_key=KEY, retries=0, wording=Wording(prompts))
    return Batches(run, CachedJudge(judge, run.folder.parent / "v.sqlite"))


def send(run: Run, batches: Batches) -> int:
    """One call's sending: in how many batches."""
    return batches.send(pipeline.batch_questions(run, HashEncoder(), batches.judge))  # type: ignore[arg-type]


def to_the_end(run: Run, batches: Batches) -> list[Collected]:
    looks = []
    while send(run, batches):
        looks.append(batches.collect())
    return looks


def asked_of(server: LoopbackServer) -> list[str]:
    """Every question that was put to the server, in batches or directly."""
    return [*server.batches.asked, *(prompt for _, prompt in server.asked)]


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_a_labels_first_question_comes_alone_and_then_all_the_others() -> None:
    first, *rest = chain = [Question("x", "proper noun"), *(Question("x", "subcategory", name) for name in IDS)]
    same = [Question("oak", "proper noun"), Question("oak", "subcategory", "ship"), Question("oak", "same", "oak")]
    same.append(Question("oak", "subcategory", "red fox"))
    assert next_questions([chain, same], {}) == [first, same[0]]
    assert next_questions([chain, same], {first.subject: "no", same[0].subject: "unclear"}) == [*rest, same[1]]
    assert next_questions([chain], {first.subject: "yes"}) == []
    assert next_questions([chain], {first.subject: "no", rest[1].subject: "yes"}) == [rest[0]]


@pytest.mark.parametrize("prompts", [PAPER, STRUCTURED])
def test_after_two_batches_refine_asks_nothing_and_decides_as_if_it_had_asked(
    tmp_path: Path, prompts: PromptSet
) -> None:
    run, calm = make_run(tmp_path), make_run(tmp_path / "calm")
    with LoopbackServer(says) as server:
        batches = batches_of(run, server, prompts)
        server.batches.status = "in_progress"
        assert send(run, batches) == 1
        assert len(asked_of(server)) == len(WORDS)  # whether each is a proper noun
        assert batches.collect() == Collected((), 5, 2)
        assert send(run, batches) == 0
        server.batches.status = "completed"
        assert batches.collect().fetched[0].replies == 5
        assert send(run, batches) == 1
        batches.collect()
        assert send(run, batches) == 0
        asked = asked_of(server)
        assert max(Counter(asked).values()) == 1
        pipeline.refine(run, HashEncoder(), batches.judge)  # type: ignore[arg-type]
        assert asked_of(server) == asked
        pipeline.refine(calm, HashEncoder(), batches_of(calm, server, prompts).judge)  # type: ignore[arg-type]
    assert run.negatives == calm.negatives
    one_by_one = {v.subject: replace(v, time="", latency=0.0) for v in calm.verdicts}
    assert {v.subject: replace(v, time="", latency=0.0) for v in run.verdicts} == one_by_one
    assert {v.p_yes for v in run.verdicts} == {None, 0.2, 0.9}  # None where the words are the same
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path
    assert not list(run.path("batches").iterdir())  # what was asked is needed no more


def test_files_stay_within_the_servers_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MOST_REQUESTS", 2)
    run = make_run(tmp_path)
    with LoopbackServer(says) as server:
        batches = batches_of(run, server)
        assert send(run, batches) == 3  # 6 questions, of which one is asked directly
        assert [file.count(b"\n") for file in server.batches.files.values()] == [2, 2, 1]
        assert len(batches.collect().fetched) == 3
        monkeypatch.setattr(batch_module, "MOST_BYTES", 700)
        send(run, batches)
        assert max(map(len, list(server.batches.files.values())[-5:])) < 700


# --- what may go wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_made", [True, False])
def test_a_process_that_ends_between_sending_and_noting_sends_nothing_twice(tmp_path: Path, is_made: bool) -> None:
    run = make_run(tmp_path)
    with LoopbackServer(says) as server:
        batches = batches_of(run, server)
        server.batches.loses_answers = True
        with pytest.raises(NegRefineError, match="cannot reach"):
            send(run, batches)
        server.batches.loses_answers = False
        for _ in range(3):  # other people's, so that it lies on a further page of the list
            server.batches.made.append({**server.batches.made[0], "id": f"other-{_}", "metadata": None})
        if not is_made:
            server.batches.made, server.batches.asked = [], []
        assert [each.replies for each in batches.collect().fetched] == ([5] if is_made else [])
        to_the_end(run, batches)
        pipeline.refine(run, HashEncoder(), batches.judge)  # type: ignore[arg-type]
        assert max(Counter(asked_of(server)).values()) == 1


def test_a_batch_that_comes_to_nothing_is_said_and_only_what_it_lacks_asked_again(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with LoopbackServer(says) as server:
        batches, desk = batches_of(run, server), server.batches
        send(run, batches)
        desk.share = 0.5  # of the requests are answered before it ends
        came = []
        for desk.status in ("failed", "expired", "cancelled"):
            came += batches.collect().fetched
            assert batches.collect() == Collected()
            send(run, batches)
        assert [(each.replies, each.failed) for each in came] == [(0, 5), (4, 3), (4, 4)]
        reasons = ["failed: too many tokens", "expired: not answered in time", "cancelled: not answered in time"]
        assert [each.reason for each in came] == reasons
        asked = asked_of(server)
        assert len(asked) == len(set(asked)) + 5 + 3 + 4  # only what came to nothing was asked again


def test_failed_requests_and_malformed_replies_are_counted_and_asked_again(tmp_path: Path) -> None:
    faults = {"velvet": Action(status=400), "thunder": Action(body='{"choices": []}'), "oslo": Action(body="<html>")}
    run = make_run(tmp_path)
    with LoopbackServer(lambda p: next((act for word, act in faults.items() if f"'{word}'" in p), says(p))) as server:
        batches = batches_of(run, server)
        send(run, batches)
        server.batches.lines = lambda lines: [*lines, "no JSON", '{"custom_id": []}', '{"custom_id": "99"}']
        (fetched,) = batches.collect().fetched
        assert (fetched.replies, fetched.failed, fetched.malformed) == (2, 3, 3)
        assert "the test server says 400" in fetched.reason
        faults.clear()
        to_the_end(run, batches)
        asked = len(asked_of(server))
        pipeline.refine(run, HashEncoder(), batches.judge)  # type: ignore[arg-type]
        assert len(asked_of(server)) == asked
    assert [negative.label for negative in run.negatives] == ["granite", "velvet", "thunder"]


def test_a_damaged_note_or_request_file_is_named_and_a_lost_batch_too(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with LoopbackServer(says) as server:
        batches = batches_of(run, server)
        send(run, batches)
        notes, (requests,) = run.path("batches.json"), run.path("batches").iterdir()
        for file, problem in ((notes, "is damaged"), (requests, "is not as it was written")):
            whole = file.read_bytes()
            file.write_bytes(whole.replace(b"m", b"n", 1))
            with pytest.raises(NegRefineError, match=rf"{file.name} {problem}"):
                batches.collect()
            file.write_bytes(whole)
        server.batches.made.clear()
        with pytest.raises(NegRefineError, match="use the key it was sent with"):
            batches.collect()
    with pytest.raises(NegRefineError, match="for one language model"):
        Batches(run, WordNetJudge())


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_asks_before_it_sends_and_waits_to_the_end(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "BETWEEN_LOOKS", 0.0)
    run = make_run(paths.RUNS, "cli-batch", model=tiny_model)
    with LoopbackServer(says) as server:
        judge = ["--name", run.name, "--judge", "openai", "--judge-model", "m", "--base-url", server.url]
        batch = ["judges", "batch", *judge]
        refused = CliRunner().invoke(app, [*batch, "--prices", "20000,0"], input="n\n")
        assert refused.exit_code == 1
        assert "6 questions now, in all at most" in refused.output
        assert "at half your prices" in refused.output
        assert asked_of(server) == []
        server.batches.status = "in_progress"
        assert "Sent, in 1 batches" in CliRunner().invoke(app, [*batch, "--yes"]).output
        assert "under way in batches" in CliRunner().invoke(app, ["refine", *judge], input="n\n").output
        server.batches.status = "failed"
        failed = CliRunner().invoke(app, [*batch, "--yes", "--wait"])
        assert "5 requests of a batch came to nothing: failed: too many tokens" in failed.output
        server.batches.status = "completed"
        done = CliRunner().invoke(app, [*batch, "--yes", "--wait"])
        assert "Every question is answered" in done.output
        asked = asked_of(server)
        refined = CliRunner().invoke(app, shlex.split(done.output.splitlines()[-1])[1:])
        assert refined.exit_code == 0, refined.output
        assert "3 negatives kept" in refined.output
        assert asked_of(server) == asked
    assert {note["ended"] for note in json.loads(run.path("batches.json").read_text())["batches"]} == {
        "failed",
        "completed",
    }
