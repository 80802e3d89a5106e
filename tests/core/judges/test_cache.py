"""Replies kept across runs, replayed logs, what judging would take, and which verdicts are stale."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from negrefine_core import paths, pipeline
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.estimate import estimate, stale_verdicts
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.replay import MISSING, ReplayJudge
from negrefine_core.mining import Negative
from negrefine_core.negfilter import Verdict, clean_negatives, judge_chains, question_chains
from negrefine_core.runs import Run, Settings
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder

IDS = ["red fox", "oak", "ship"]
WORDS = ["granite", "velvet", "thunder", "oslo"]


def make_run(runs: Path, name: str = "r", ids: list[str] = IDS, **settings: object) -> Run:
    run = Run.create(name, Settings.model_validate({"n_groups": 2} | settings), ids, runs)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    return run


def says(prompt: str) -> Action:
    return Action("Yes" if prompt.startswith("Is 'oslo' a proper noun") else "No")


def test_a_second_run_asks_nothing_and_needs_no_server(tmp_path: Path) -> None:
    with LoopbackServer(says) as server:
        url = server.url
        first = make_run(tmp_path)
        pipeline.refine(first, HashEncoder(), CachedJudge(OpenAIJudge("m", url), tmp_path / "v.sqlite"))
        assert len(server.asked) == 3 * 4 + 1
    second = make_run(tmp_path, "second")
    pipeline.refine(second, HashEncoder(), CachedJudge(OpenAIJudge("m", url), tmp_path / "v.sqlite"))
    assert second.negatives == first.negatives
    assert sorted(map(repr, second.verdicts)) == sorted(
        map(repr, first.verdicts)
    )  # with the time and latency of when they were given


def test_an_edited_class_list_asks_only_the_new_questions(tmp_path: Path) -> None:
    with LoopbackServer(says) as server:
        judge = CachedJudge(OpenAIJudge("m", server.url), tmp_path / "v.sqlite")
        pipeline.refine(make_run(tmp_path), HashEncoder(), judge)
        server.asked = []
        pipeline.refine(make_run(tmp_path, "edited", ["red fox", "ship", "maple"]), HashEncoder(), judge)
        assert {prompt for _, prompt in server.asked} == {f"Is '{w}' a subcatgeory of 'maple'?" for w in WORDS[:3]}


def test_another_model_does_not_share_the_replies(tmp_path: Path) -> None:
    with LoopbackServer(says) as server:
        pipeline.refine(make_run(tmp_path), HashEncoder(), CachedJudge(OpenAIJudge("m", server.url), tmp_path / "v"))
        asked = len(server.asked)
        pipeline.refine(make_run(tmp_path), HashEncoder(), CachedJudge(OpenAIJudge("n", server.url), tmp_path / "v"))
        assert len(server.asked) == 2 * asked


def test_a_broken_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "v.sqlite").write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(NegRefineError, match=r"v\.sqlite.*delete it"):
        CachedJudge(OpenAIJudge("m", "http://127.0.0.1:1/v1"), tmp_path / "v.sqlite").cached(
            [Question("x", "proper noun")]
        )


def replies_of(path: Path) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as replies:
        return replies.execute("SELECT prompt, reply FROM replies ORDER BY prompt").fetchall()


DAMAGE = {
    "an answer turned": "UPDATE replies SET reply = replace(reply, '\"No\"', '\"Yes\"')",
    "cut": "UPDATE replies SET reply = substr(reply, 1, 9)",
    "no text": "UPDATE replies SET reply = x'ff00ff'",
    "another question's": 'UPDATE replies SET (reply, "check") = '
    '(SELECT reply, "check" FROM replies ORDER BY prompt LIMIT 1)',
    "no check of its own": "UPDATE replies SET \"check\" = 'x'",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_reply_is_asked_again(tmp_path: Path, damage: str) -> None:
    with LoopbackServer(says) as server:
        judge = CachedJudge(OpenAIJudge("m", server.url), tmp_path / "v.sqlite")
        first = make_run(tmp_path)
        pipeline.refine(first, HashEncoder(), judge)
        with contextlib.closing(sqlite3.connect(tmp_path / "v.sqlite")) as replies, replies:
            replies.execute(DAMAGE[damage])
        server.asked = []
        again = make_run(tmp_path, "again")
        pipeline.refine(again, HashEncoder(), judge)
        assert len(server.asked) >= 12
    assert again.negatives == first.negatives


def test_replies_of_an_older_cache_are_used_and_get_their_check_then(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    with LoopbackServer(says) as server:
        url = server.url
        pipeline.refine(make_run(tmp_path), HashEncoder(), CachedJudge(OpenAIJudge("m", url), path))
    with contextlib.closing(sqlite3.connect(path)) as replies, replies:
        replies.execute('ALTER TABLE replies DROP COLUMN "check"')
    before = replies_of(path)
    pipeline.refine(make_run(tmp_path, "again"), HashEncoder(), CachedJudge(OpenAIJudge("m", url), path))
    assert replies_of(path) == before
    with contextlib.closing(sqlite3.connect(path)) as replies:
        assert replies.execute('SELECT COUNT(*) FROM replies WHERE "check" IS NULL').fetchone() == (0,)


@pytest.mark.parametrize("kept", ["cut", "a folder", "overwritten"])
def test_a_verdict_cache_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, kept: str) -> None:
    path = tmp_path / "v.sqlite"
    with LoopbackServer(says) as server:
        judge = CachedJudge(OpenAIJudge("m", server.url), path)
        pipeline.refine(make_run(tmp_path), HashEncoder(), judge)
    whole = path.read_bytes()
    path.unlink()
    if kept == "a folder":
        path.mkdir()
    else:
        path.write_bytes(whole[:5000] if kept == "cut" else whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(NegRefineError, match=r"^cannot use the verdict cache .*v\.sqlite .*delete it") as raised:
        judge.cached([Question("x", "proper noun")])
    assert "\n" not in str(raised.value)


def test_a_replayed_run_gives_the_same_negatives_and_counts_what_its_log_lacks(tmp_path: Path) -> None:
    with LoopbackServer(says) as server:
        first = make_run(tmp_path)
        pipeline.refine(first, HashEncoder(), OpenAIJudge("m", server.url))
    replay = ReplayJudge(first.verdicts, "r")
    second = make_run(tmp_path, "second")
    pipeline.refine(second, HashEncoder(), replay)
    assert second.negatives == first.negatives
    assert {v.judge for v in second.verdicts} == {"replay:r"}
    assert {v.prompt: v.time for v in second.verdicts} == {v.prompt: v.time for v in first.verdicts}
    ((missing,),) = judge_chains(replay, [[Question("unheard", "proper noun")]])
    assert (missing.reply, missing.answer) == (MISSING, "unclear")


# --- the estimate ---------------------------------------------------------------------------------------------------


def chain(word: str, ids: list[str]) -> list[Question]:
    return [Question(word, "proper noun"), *(Question(word, "subcategory", c, 0.2) for c in ids)]


def test_the_estimate_counts_what_is_missing_up_to_a_known_yes() -> None:
    chains = [chain("oslo", IDS), chain("granite", IDS), [*chain("ship", []), Question("ship", "same", "ship")]]
    known = {chains[0][0].subject: "yes", chains[1][0].subject: "no"}
    result = estimate(chains, known, concurrency=2, latency=1.0, prices=(1e6, 0.0))  # type: ignore[arg-type]
    assert (result.labels, result.questions, result.cached) == (2, 4, 2)
    assert result.seconds == 2.0
    assert result.cost == pytest.approx(result.prompt_tokens)
    assert "at most 4 questions" in str(result)
    assert estimate(chains, {}, 64, rate=6.0).seconds == 10 * 9  # 4 + 4 + 1 questions, six a minute


def test_the_pipelines_estimate_is_what_the_run_then_asks_when_nothing_is_rejected(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with LoopbackServer(lambda _: Action("No", delay=0.02)) as server:
        judge = CachedJudge(OpenAIJudge("m", server.url), tmp_path / "v.sqlite")
        before = pipeline.question_estimate(run, HashEncoder(), judge)  # type: ignore[arg-type]
        assert server.requests == []
        pipeline.refine(run, HashEncoder(), judge)  # type: ignore[arg-type]
        assert before.questions == len(server.asked) == 16
    after = pipeline.question_estimate(make_run(tmp_path, "new"), HashEncoder(), judge)  # type: ignore[arg-type]
    assert (after.questions, after.cached) == (0, 16)


def test_stale_verdicts_say_why_they_no_longer_apply() -> None:
    old = question_chains(HashEncoder(), [Negative(w, "noun", 0.1) for w in WORDS], IDS)  # type: ignore[arg-type]
    verdicts = [
        Verdict(q.negative, q.kind, q.id_label, 0.1, q.prompt, "No", "no", "m", "", 0.0) for c in old for q in c
    ]
    negatives = clean_negatives(Negative(w, "noun", 0.1) for w in WORDS[1:])
    ids = ["red fox", "ship", *(f"class {i}" for i in range(60))]
    new = question_chains(HashEncoder(), negatives, ids)  # type: ignore[arg-type]
    stale = stale_verdicts(verdicts, new, ids)
    reasons = {(s.verdict.negative, s.verdict.id_label): s.reason for s in stale}
    causes = {(s.verdict.negative, s.verdict.id_label): s.cause for s in stale}
    assert reasons["granite", None] == "'granite' is no longer mined"
    assert reasons["velvet", "oak"] == "'oak' is no longer an ID class"
    assert any("no longer among the nearest" in reason for reason in reasons.values())
    assert ("velvet", None) not in reasons
    assert causes["granite", None] == "not mined"
    assert causes["velvet", "oak"] == "class removed"
    assert {cause for place, cause in causes.items() if "among the nearest" in reasons[place]} == {"not nearest"}


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_command_line_asks_before_it_sends_and_yes_sends(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-cli")
    run = make_run(paths.RUNS, "cli-judge", model=tiny_model)
    with LoopbackServer(says) as server:
        refine = ["refine", "--name", run.name, "--judge", "openai", "--judge-model", "m", "--base-url", server.url]
        refused = CliRunner().invoke(app, [*refine, "--prices", "0.15,0.60"], input="n\n")
        assert refused.exit_code == 1
        assert "at most 16 questions on 4 labels" in refused.output
        assert "at your prices" in refused.output
        assert "Is 'granite' a proper noun" in refused.output
        assert server.asked == []
        sent = CliRunner().invoke(app, [*refine, "--yes"])
        assert sent.exit_code == 0, sent.output
        assert "3 negatives kept; rejected: 1 proper nouns" in sent.output
        asked = len(server.asked)
        again = CliRunner().invoke(app, ["refine", "--name", run.name])  # the run's own judge, all cached
        assert again.exit_code == 0, again.output
        assert len(server.asked) == asked
    assert "sk-secret-cli" not in refused.output + sent.output + again.output
    for path in paths.DATA.rglob("*"):
        assert path.is_dir() or b"sk-secret-cli" not in path.read_bytes()


def test_an_unknown_judge_and_a_missing_model_are_explained() -> None:
    make_run(paths.RUNS, "cli-unknown")
    for judge, message in (("gpt", "no judge 'gpt'"), ("openai", "--judge-model"), ("replay:nowhere", "nothing to")):
        result = CliRunner().invoke(app, ["refine", "--name", "cli-unknown", "--judge", judge])
        assert message in str(result.exception)
