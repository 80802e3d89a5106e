"""Why a language model answered as it did: what it is asked, what is kept, and what a stranger's words may not do."""

import json
from pathlib import Path

import pytest

from negrefine_core.errors import NegRefineError
from negrefine_core.judge import JudgeIdentity, Question
from negrefine_core.judges.why import LONGEST, ask_why, can_be_asked, kept_reason
from negrefine_core.records import Verdict
from negrefine_core.runs import Run, Settings
from tests.support.loopback_server import Action, LoopbackServer

KEY = "sk-secret-1234567890"
LONG = "A safe is a strongbox. " * 450  # 10,350 characters
HTML = "<img src=x onerror=alert(1)> **bold** [link](javascript:alert(1))\nand a line"


def verdict_of(server_url: str, answer: str = "yes") -> Verdict:
    question = Question("common sage", "subcategory", "safe")
    judge = str(JudgeIdentity.openai("m", server_url))
    return Verdict(
        "common sage", "subcategory", "safe", 0.5, question.prompt, answer.title(), answer, judge, "", 0.1  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create("r", Settings(), ["safe"], tmp_path)


def test_the_model_is_told_what_it_was_asked_and_said_and_its_reason_is_kept(run: Run) -> None:
    with LoopbackServer(lambda _: Action("Sage is a herb.")) as server:
        verdict = verdict_of(server.url)
        reason = ask_why(run, verdict, KEY)
        assert (reason.text, reason.answer, reason.model) == ("Sage is a herb.", "yes", "loopback-1")
        told = server.requests[0]["messages"]
        assert [m["role"] for m in told] == ["system", "user", "assistant", "user"]
        assert [m["content"] for m in told[1:3]] == [verdict.prompt, "Yes"]
        assert "what 'common sage' and 'safe' mean" in told[3]["content"]
        assert "Yes/No" not in told[0]["content"]
        assert ask_why(run, verdict, KEY) == reason
        assert len(server.asked) == 1  # the second time it is there
        assert ask_why(run, verdict_of(server.url, "no"), KEY).answer == "no"  # another answer has another reason
        assert len(server.asked) == 2
    assert KEY not in run.path("reasons.jsonl").read_text(encoding="utf-8")
    assert kept_reason(Run.open(run.folder), verdict) == reason


@pytest.mark.parametrize("text", [LONG, HTML, "\ud800 half a character", "", "x" * 100_000])
def test_any_reason_is_kept_word_for_word_up_to_a_length(run: Run, text: str) -> None:
    body = json.dumps({"choices": [{"message": {"content": text}}]})
    with LoopbackServer(lambda _: Action(body=body)) as server:
        verdict = verdict_of(server.url)
        reason = ask_why(run, verdict)
    expected = text.encode("utf-8", "backslashreplace").decode()[:LONGEST]
    assert reason.text == expected
    assert kept_reason(run, verdict) == reason


@pytest.mark.parametrize("action", [Action(status=500), Action(body="<html>a login page</html>"), Action(die=True)])
def test_a_server_that_gives_none_is_said_and_nothing_is_kept(run: Run, action: Action) -> None:
    with (
        LoopbackServer(lambda _: action) as server,
        pytest.raises(NegRefineError, match=server.url.replace(".", r"\.")),
    ):
        ask_why(run, verdict_of(server.url), KEY)
    assert run.reasons == []


def test_who_has_no_words_is_not_asked(run: Run) -> None:
    verdict = Verdict("oslo", "proper noun", None, None, "p", "Yes", "yes", "wordnet", "", 0.0)
    assert not can_be_asked(verdict)
    with pytest.raises(NegRefineError, match="only a language model can be asked why"):
        ask_why(run, verdict)


def test_a_damaged_line_of_reasons_is_named_and_a_torn_one_is_cut_off(run: Run) -> None:
    with LoopbackServer(lambda _: Action("Sage is a herb.")) as server:
        verdict = verdict_of(server.url)
        ask_why(run, verdict)
        file = run.path("reasons.jsonl")
        whole = file.read_bytes()
        file.write_bytes(whole + whole[:40])  # a kill
        ask_why(run, verdict_of(server.url, "no"))
    assert [reason.answer for reason in run.reasons] == ["yes", "no"]
    file.write_bytes(whole.replace(b"herb", b"safe"))
    with pytest.raises(NegRefineError, match=r"reasons\.jsonl is damaged in line 1 \(it is not as it was written\)"):
        kept_reason(run, verdict)
