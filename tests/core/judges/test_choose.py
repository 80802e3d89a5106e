"""A judge is one class and one row: whoever opens a judge by its identity, the command line too, then knows it."""

import pytest
from typer.testing import CliRunner

from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question, Reply
from negrefine_core.judges.choose import JUDGES, Asked, JudgeKind, open_judge
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.runs import Run
from tests.support.runs import refined_run


class LetterJudge:
    """Takes a word that begins with its letter for a proper noun."""

    concurrency = 1

    def __init__(self, asked: Asked) -> None:
        self.identity = str(asked.identity)
        self.letter = asked.identity.detail

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        is_name = question.kind == "proper noun" and question.negative.startswith(self.letter)
        return Reply("Yes" if is_name else "No")


@pytest.fixture
def _with_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JUDGES, "letter", JudgeKind("letter:LETTER", LetterJudge))


@pytest.mark.usefixtures("_with_the_row")
def test_a_new_judge_is_a_row_and_refines_a_run_from_the_command_line(tiny_model: str) -> None:
    refined_run("by-letter", tiny_model)
    done = CliRunner().invoke(app, ["refine", "--name", "by-letter", "--judge", "letter:p", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    run = Run.open("by-letter")
    assert {verdict.judge for verdict in run.verdicts} == {"letter:p"}
    assert {verdict.negative for verdict in run.verdicts if verdict.answer == "yes"} == {"paris", "poodle"}


@pytest.mark.usefixtures("_with_the_row")
def test_an_unknown_judge_is_answered_with_those_there_are() -> None:
    with pytest.raises(NegRefineError, match=r"no judge 'gpt'; choose one of: wordnet .*openai .*, letter:LETTER"):
        open_judge("gpt")


def test_each_identity_leads_back_to_its_judge() -> None:
    judge = open_judge("wordnet")
    assert isinstance(judge, WordNetJudge)
    with pytest.raises(NegRefineError, match="--judge-model"):
        open_judge("openai")
    assert open_judge("openai:m@x/y@http://127.0.0.1:1/v1").identity == "openai:m@x/y@http://127.0.0.1:1/v1"
