"""A panel: its vote, its members' verdicts in the log, its doubts, and members that die or give no proper answer."""

import multiprocessing
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from negrefine_core import pipeline
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Answer, Judge, JudgeIdentity, Question, Reply
from negrefine_core.judges.agreement import suspicions, suspicions_of_kept
from negrefine_core.judges.choose import open_judge
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.panel import PanelJudge
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.lexicon import WordNet
from negrefine_core.mining import Negative
from negrefine_core.records import Verdict
from negrefine_core.runs import Run, Settings
from tests.support.jobs import until
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder

IDS = ["cat", "dog"]
WORDS = ["oslo", "poodle", "rust", "mud"]


class FixedJudge:
    """Says yes where its words are asked about."""

    concurrency = 2

    def __init__(self, identity: str, *yes: str) -> None:
        self.identity, self.yes = identity, yes
        self.asked: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        self.asked.append(question.prompt)
        return Reply("Yes" if any(word in question.prompt for word in self.yes) else "No")


def make_run(runs: Path, words: list[str] = WORDS) -> Run:
    run = Run.create("r", Settings(n_groups=1), IDS, runs)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in words)
    return run


def refined(run: Run, judge: Judge) -> Run:
    pipeline.refine(run, HashEncoder(), judge)  # type: ignore[arg-type]
    return run


def at(server: LoopbackServer, model: str = "m") -> OpenAIJudge:
    return OpenAIJudge(model, server.url, concurrency=4, retries=0, timeout=30)


# --- the vote -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "votes", "answer"),
    [
        ("majority", ["yes", "yes", "no"], "yes"),
        ("majority", ["yes", "no"], "no"),  # half is no majority
        ("majority", ["yes", "unclear", "no"], "no"),
        ("any", ["no", "no", "yes"], "yes"),
        ("any", ["no", "unclear"], "no"),
        ("majority", ["yes", "yes", None], "yes"),  # decided without the third
        ("majority", ["no", None, "no"], "no"),
        ("majority", ["yes", None, "no"], "unclear"),
        ("any", ["no", None], "unclear"),
    ],
)
def test_the_votes_decide(rule: str, votes: list[Answer | None], answer: Answer) -> None:
    members = [FixedJudge(str(i)) for i in range(len(votes))]
    reply = PanelJudge(rule, members).decide(votes)
    assert (reply.answer, reply.malformed) == (answer, answer == "unclear")
    assert reply.p_yes == pytest.approx(votes.count("yes") / len(votes), abs=1e-4)
    assert reply.p_yes_from == "votes"


def test_the_identity_of_a_panel_leads_back_to_its_members() -> None:
    members = ["wordnet", "openai+glossed:m, (b) 50%@http://127.0.0.1:1/v1", "replay:a-run"]
    identity = JudgeIdentity.panel("any", members)
    assert JudgeIdentity.parse(str(identity)).members == tuple(members)
    assert JudgeIdentity.parse(str(identity)).rule == "any"
    assert JudgeIdentity.parse("wordnet:(a, b)").members == ()
    assert [JudgeIdentity.parse(member).short for member in members] == [
        "wordnet",
        "m, (b) 50% (glossed)",
        "replay:a-run",
    ]
    assert JudgeIdentity.parse(str(identity)).servers == ["http://127.0.0.1:1/v1"]
    opened = open_judge("panel:majority(wordnet, openai:m@http://h/v1)", prompts="glossed")
    assert opened.identity == "panel:majority(wordnet, openai+glossed:m@http://h/v1)"
    assert open_judge(opened.identity).identity == opened.identity


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("panel:most(wordnet, openai:m@http://h/v1)", "decides by majority or any"),
        ("panel:majority(wordnet)", "two judges or more"),
        ("panel:majority(wordnet, wordnet)", "each once"),
        ("panel:", "decides by|two judges"),
        ("panel:any(wordnet, panel:any(wordnet, wordnet))", "not of panels|no judge"),
        ("panel:any(wordnet, gpt)", "no judge 'gpt'"),
    ],
)
def test_a_panel_that_cannot_be_is_refused(identity: str, said: str) -> None:
    with pytest.raises(NegRefineError, match=said):
        open_judge(identity)


# --- in a run -------------------------------------------------------------------------------------------------------


def test_each_members_verdicts_are_kept_and_the_panel_decides(tmp_path: Path) -> None:
    first, second, third = FixedJudge("a", "oslo", "poodle"), FixedJudge("b", "oslo"), FixedJudge("c", "oslo", "rust")
    run = refined(make_run(tmp_path), PanelJudge("majority", [first, second, third]))
    assert run.judge == "panel:majority(a, b, c)"
    assert run.rejections.keys() == {"oslo"}
    assert run.rejections["oslo"].reply == "Yes: 3 of 3 say yes"
    counts = Counter(verdict.judge for verdict in run.verdicts)
    assert len(set(counts.values())) == 1
    assert counts.keys() == {"a", "b", "c", run.judge}
    assert [n.label for n in run.negatives] == ["poodle", "rust", "mud"]
    again = [FixedJudge("a"), FixedJudge("b"), FixedJudge("c")]
    refined(run, PanelJudge("majority", again))
    assert [judge.asked for judge in again] == [[], [], []]


def test_another_panel_and_a_member_alone_use_what_its_members_said(tmp_path: Path) -> None:
    run = refined(make_run(tmp_path), PanelJudge("majority", [FixedJudge("a", "oslo"), FixedJudge("b")]))
    first, second = FixedJudge("a"), FixedJudge("b")
    refined(run, PanelJudge("any", [first, second]))
    assert (first.asked, second.asked) == ([], [])
    assert run.rejections.keys() == {"oslo"}
    alone = FixedJudge("a")
    refined(run, alone)
    assert alone.asked == []
    assert run.judge == "a"


def test_a_member_that_dies_in_the_middle_loses_nothing_and_is_said(tmp_path: Path) -> None:
    words = [f"word{a}{b}" for a in "abcd" for b in "abcd"]
    run = make_run(tmp_path, words)
    with LoopbackServer() as healthy, LoopbackServer() as dying:
        dying.behave = lambda _: Action("No") if len(dying.asked) <= 20 else Action(die=True)
        with pytest.raises(NegRefineError, match=rf"openai:n@{dying.url}, of the panel, does not answer: .*is kept"):
            refined(run, PanelJudge("any", [at(healthy), at(dying, "n")]))
        answered = {(f"openai:m@{healthy.url}", prompt) for _, prompt in healthy.answered}
        answered |= {(f"openai:n@{dying.url}", prompt) for _, prompt in dying.answered}
        kept = {(v.judge, v.prompt) for v in run.verdicts if v.judge.startswith("openai")}
        assert kept == answered
        assert not run.is_refined
        healthy.asked, dying.asked = [], []
        dying.behave = lambda _: Action("No")
        refined(run, PanelJudge("any", [at(healthy), at(dying, "n")]))
        asked = {(f"openai:m@{healthy.url}", prompt) for _, prompt in healthy.asked}
        asked |= {(f"openai:n@{dying.url}", prompt) for _, prompt in dying.asked}
        assert kept.isdisjoint(asked)
    assert len(run.negatives) == 16
    assert max(Counter((v.judge, v.subject) for v in run.verdicts).values()) == 1


def test_a_member_without_a_proper_answer_is_asked_again_where_it_decides(tmp_path: Path) -> None:
    with LoopbackServer(lambda p: Action(body="oops") if "'rust' a proper" in p else Action("No")) as server:
        run = refined(make_run(tmp_path), PanelJudge("any", [at(server), FixedJudge("b")]))
        (open_,) = [v for v in run.verdicts if v.judge == run.judge and v.malformed]
        assert (open_.negative, open_.answer) == ("rust", "unclear")
        server.behave, server.asked = (lambda _: Action("Yes")), []
        other = FixedJudge("b")
        refined(run, PanelJudge("any", [at(server), other]))
        assert [prompt for _, prompt in server.asked] == [Question("rust", "proper noun").prompt]
        assert other.asked == []
    assert run.rejections.keys() == {"rust"}


def refine_with_a_panel(folder: Path, url: str) -> None:
    members: list[Judge] = [OpenAIJudge("m", url, concurrency=4), OpenAIJudge("n", url, concurrency=4)]
    refined(Run.open(folder), PanelJudge("majority", members))


@pytest.mark.slow
def test_a_panel_that_is_killed_goes_on_without_asking_twice(tmp_path: Path) -> None:
    run = make_run(tmp_path, [f"word{letter}" for letter in "abcdefgh"])
    with LoopbackServer() as server:
        server.behave = lambda _: Action("No", delay=0.05 if server.requests[-1]["model"] == "m" else 0.15)
        child = multiprocessing.get_context("spawn").Process(target=refine_with_a_panel, args=(run.folder, server.url))
        child.start()
        until(lambda: len(run.verdicts) >= 5)
        os.kill(child.pid or 0, 9)
        child.join()
        kept = {(JudgeIdentity.parse(v.judge).model, v.prompt) for v in run.verdicts}
        server.requests = []
        refine_with_a_panel(run.folder, server.url)
        asked = {(request["model"], request["messages"][-1]["content"]) for request in server.requests}
        assert kept.isdisjoint(asked)
    assert max(Counter((v.judge, v.subject) for v in run.verdicts).values()) == 1
    assert len(run.negatives) == 8


def test_where_the_members_disagree_the_label_comes_first_whatever_else_is_doubtful(wordnet: WordNet) -> None:
    panel = "panel:majority(a, b, c)"

    def said(negative: str, answer: Answer, judge: str, id_label: str | None = None) -> Verdict:
        question = Question(negative, "subcategory" if id_label else "proper noun", id_label)
        return Verdict(negative, question.kind, id_label, 0.3, question.prompt, answer, answer, judge, "", 0.0)

    doubtful = said("common sage", "yes", panel, "safe")  # spelt alike, and WordNet contradicts
    divided = said("oslo", "yes", panel)
    judges = [[replace(v, judge=judge) for v in (doubtful, divided)] for judge in "abc"]
    judges[2][1] = replace(judges[2][1], answer="no")
    first, second = suspicions([doubtful, divided], wordnet, judges)
    assert first.verdict.negative == "oslo"
    assert "but the panel was divided (2 of 3 said yes)" in first.why
    assert first.score > second.score > 0.5
    kept = [said("rust", "no", panel), said("oslo", "no", panel)]
    votes = [[said("rust", "no", judge), said("oslo", "yes" if judge == "a" else "no", judge)] for judge in "abc"]
    assert suspicions_of_kept([[v] for v in kept], None, votes)[0].verdict.negative == "oslo"


def test_a_panel_says_before_it_is_asked_what_its_servers_would_be_asked(tiny_model: str) -> None:
    run = Run.create("by-panel", Settings(model=tiny_model, n_groups=1), IDS)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    with LoopbackServer() as server:
        panel = f"panel:any(wordnet, openai:m@{server.url}, openai:n@{server.url})"
        options = ["refine", "--name", run.name, "--judge", panel, "--prompts", "paper", "--device", "cpu"]
        refused = CliRunner().invoke(app, options, input="n\n")
        assert f"To openai:m@{server.url} and openai:n@{server.url}: at most 24 questions" in refused.output
        assert not server.asked
        done = CliRunner().invoke(app, [*options, "--yes"])
        assert done.exit_code == 0, done.output
        assert "2 negatives kept; rejected: 1 proper nouns, 1 subcategories" in done.output
        assert len(server.asked) == 2 * (1 + 2 + 3 + 3) or len(server.asked) == 2 * (1 + 3 + 3 + 3)
    assert {JudgeIdentity.parse(v.judge).kind for v in Run.open(run.name).verdicts} == {"wordnet", "openai", "panel"}
    assert WordNetJudge().identity in JudgeIdentity.parse(Run.open(run.name).judge).members
