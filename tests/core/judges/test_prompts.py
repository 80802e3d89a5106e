"""Prompt sets: their words, what they add, where they are kept, and that no answer of one stands for another's."""

import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from negrefine_core import overrides, pipeline
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import JudgeIdentity, Question
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.choose import open_judge
from negrefine_core.judges.extras import answer_in
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.prompt_book import PromptBook, carry_over, keep
from negrefine_core.judges.wording import UNKNOWN, Glossary, Wording
from negrefine_core.lexicon import WordNet
from negrefine_core.mining import Negative
from negrefine_core.negfilter import judge_chains
from negrefine_core.prompts import BUILT_IN, EXAMPLES, GLOSSED, PAPER, Example, PromptSet, with_examples
from negrefine_core.runs import Run, Settings
from tests.support.jobs import until
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder, refine

IDS = ["safe", "seal", "ship"]
WORDS = ["common sage", "handstamp", "oslo", "granite"]
MINE = PromptSet("mine", "Be brief.", "Is {negative} a name?", "Is {negative} a kind of {id_label}?")


def make_run(runs: Path, name: str = "r") -> Run:
    run = Run.create(name, Settings(n_groups=2), IDS, runs)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    return run


def refined_by(run: Run, server: LoopbackServer, prompts: str = "", cache: Path | None = None) -> Run:
    wording = PromptBook.of(run).wording(prompts or "paper")
    judge = OpenAIJudge("m", server.url, retries=1, wording=wording)
    pipeline.refine(run, HashEncoder(), CachedJudge(judge, cache) if cache else judge)  # type: ignore[arg-type]
    return run


def says(prompt: str) -> Action:
    """Oslo is a name, and the sage is a safe."""
    is_yes = ("sage" in prompt and "safe" in prompt) or ("oslo" in prompt and "'oslo' a proper" in prompt)
    return Action("Yes" if is_yes else "No")


# --- the words ------------------------------------------------------------------------------------------------------


def test_the_papers_set_is_the_paper_word_for_word() -> None:
    assert PAPER.prompt("subcategory", "sage", "safe") == "Is 'sage' a subcatgeory of 'safe'?"
    assert Wording().messages(Question("oslo", "proper noun")) == [
        {"role": "system", "content": "You are a helpful assistant. Answering only Yes/No."},
        {"role": "user", "content": Question("oslo", "proper noun").prompt},
    ]


def test_what_is_sent_in_the_papers_words_is_what_was_always_sent() -> None:
    with LoopbackServer() as server:
        judge_chains(OpenAIJudge("m", server.url), [[Question("oslo", "proper noun")]])
    body = {name: value for name, value in server.requests[0].items() if name not in ("logprobs", "top_logprobs")}
    assert body == {
        "model": "m",
        "messages": Wording().messages(Question("oslo", "proper noun")),
        "temperature": 0,
        "max_tokens": 8,
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"proper_noun": "Is it a name?"}, r"'mine', proper noun: the text lacks \{negative\}"),
        ({"subcategory": "Is it a kind of {id_label}?"}, r"subcategory: the text lacks \{negative\}"),
        ({"subcategory": "Of what?"}, r"lacks \{negative\} and \{id_label\}"),
        ({"subcategory": "Is {negative} a {id_label} or a {class}?"}, r"nothing stands for \{class\} there"),
        ({"proper_noun": "Is {negative} a {id_label}?"}, r"nothing stands for \{id_label\} there"),
        ({"system": "Think of {negative}."}, r"system: nothing stands for \{negative\} there; .*: none"),
        ({"system": "x" * 10_001}, "10,001 characters"),
        ({"name": "My Set"}, "cannot name a prompt set"),
        ({"name": "a+b"}, "cannot name a prompt set"),
    ],
)
def test_a_prompt_set_that_cannot_be_is_refused_with_the_place_and_the_reason(
    changed: dict[str, str], said: str
) -> None:
    with pytest.raises(NegRefineError, match=said):
        replace(MINE, **changed)


def test_a_word_that_looks_like_a_placeholder_stays_a_word() -> None:
    assert MINE.prompt("subcategory", "{id_label}", "{negative}") == "Is {id_label} a kind of {negative}?"
    json_like = replace(MINE, subcategory='{"is": "{negative}", "a": "{id_label}"}')
    assert json_like.prompt("subcategory", "sage", "safe") == '{"is": "sage", "a": "safe"}'


def test_a_glossed_question_gives_both_words_definitions_and_the_sense_that_the_other_classes_suggest(
    wordnet: WordNet,
) -> None:
    wording = Wording(GLOSSED, Glossary(["safe", "chair", "ship"], wordnet))
    prompt = wording.prompt(Question("common sage", "subcategory", "safe"))
    assert "'safe' means: strongbox where valuables can be safely kept." in prompt
    assert "'common sage' means: shrubby plant" in prompt
    stamp = Question("handstamp", "subcategory", "seal")
    among = Wording(GLOSSED, Glossary(["seal", "fox", "owl"], wordnet)).prompt(stamp)
    assert "marine mammals" in among
    assert f"'qwxz' means: {UNKNOWN}." in wording.prompt(Question("qwxz", "proper noun"))
    assert "'gooey landscape' means: soft and sticky." in wording.prompt(Question("gooey landscape", "proper noun"))


def test_an_example_is_shown_before_the_question_and_never_the_one_on_the_word_that_is_asked_about() -> None:
    decided = [
        Example("common sage", "subcategory", "safe", "no"),
        Example("bank vault", "subcategory", "safe", "yes"),
        Example("oslo", "proper noun", None, "yes"),
    ]
    wording = Wording(with_examples(EXAMPLES, decided))
    contents = [m["content"] for m in wording.messages(Question("granite", "subcategory", "ship"))]
    assert contents[1:] == [
        "Is 'bank vault' a subcategory of 'safe'?", "Yes", "Is 'common sage' a subcategory of 'safe'?", "No",
        "Is 'granite' a subcategory of 'ship'?",
    ]  # fmt: skip
    shown = [m["content"] for m in wording.messages(Question("common sage", "subcategory", "ship"))]
    assert shown[1:3] == contents[1:3]
    assert len(shown) == 4
    assert len(wording.messages(Question("oslo", "proper noun"))) == 2


def test_no_more_examples_are_shown_than_the_set_says_and_as_many_of_each_answer() -> None:
    decided = [Example(f"word {i}", "proper noun", None, "yes" if i < 20 else "no") for i in range(40)]
    shown = with_examples(EXAMPLES, decided).shown("proper noun", "another")
    assert [example.answer for example in shown] == ["yes", "no"] * 4
    with pytest.raises(NegRefineError, match="decide on some rejections first"):
        with_examples(EXAMPLES, [])


# --- who answered, and what it was asked ----------------------------------------------------------------------------


def test_the_identity_names_the_prompt_set_and_leads_back_to_it() -> None:
    identity = JudgeIdentity.openai("m@x", "http://127.0.0.1:1/v1", "glossed")
    assert str(identity) == "openai+glossed:m@x@http://127.0.0.1:1/v1"
    assert JudgeIdentity.parse(str(identity)) == identity
    assert JudgeIdentity.parse("openai:m@http://h/a+b").prompts == "paper"
    judge = open_judge(str(identity))
    assert judge.identity == str(identity)
    assert open_judge("openai", model="m", base_url="http://h/v1", prompts="glossed").identity == (
        "openai+glossed:m@http://h/v1"
    )
    with pytest.raises(NegRefineError, match="no prompt set 'nicer'; there are: paper, glossed, examples"):
        open_judge("openai", model="m", base_url="http://h/v1", prompts="nicer")
    with pytest.raises(NegRefineError, match="goes with a language model"):
        open_judge("wordnet", prompts="glossed")


def test_an_edited_set_is_another_judge_and_a_built_in_one_is_always_the_same() -> None:
    assert replace(MINE, system="Be very brief.").version != MINE.version
    assert {prompts.version for prompts in BUILT_IN.values()} == {"paper", "glossed", "examples"}


@pytest.mark.slow
def test_no_answer_to_one_prompt_set_stands_for_another(tmp_path: Path) -> None:
    cache = tmp_path / "v.sqlite"
    with LoopbackServer(says) as server:
        run = refined_by(make_run(tmp_path), server, cache=cache)
        paper = len(server.asked)
        refined_by(run, server, "glossed", cache)
        assert len(server.asked) == 2 * paper
        refined_by(run, server, "glossed", cache)
        refined_by(make_run(tmp_path, "another"), server, "glossed", cache)  # the same words: from the cache
        assert len(server.asked) == 2 * paper
        verdicts = run.verdicts
    assert {(v.judge, v.prompts) for v in verdicts} == {
        (f"openai:m@{server.url}", "paper"),
        (f"openai+glossed:m@{server.url}", "glossed"),
    }
    glossed = [v for v in verdicts if v.prompts == "glossed"]
    assert all(" means: " in v.prompt for v in glossed)
    assert {v.subject for v in glossed} == {v.subject for v in verdicts if v.prompts == "paper"}
    assert run.judge == f"openai+glossed:m@{server.url}"


def test_lines_of_the_papers_set_are_as_they_always_were(tmp_path: Path) -> None:
    with LoopbackServer(says) as server:
        run = refined_by(make_run(tmp_path), server)
    first = json.loads(run.path("verdicts.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert "prompts" not in first
    assert run.verdicts[0].prompts == "paper"
    assert not run.path("prompts.json").exists()


def test_the_decisions_that_a_set_shows_are_those_of_when_it_was_asked(tmp_path: Path) -> None:
    with LoopbackServer(says) as server:
        run = refined_by(make_run(tmp_path), server)
        with pytest.raises(NegRefineError, match="decide on some rejections first"):
            PromptBook.of(run).find("examples")
        overrides.override(run, ["common sage"], "kept", "ann")
        overrides.confirm(run, ["oslo"], "ann")
        refined_by(run, server, "examples")
        judge, asked = run.judge, len(server.asked)
        told = [m["content"] for m in server.requests[-1]["messages"]]
        assert "Is 'common sage' a subcategory of 'safe'?" in told
        overrides.undo(run, "ann")
        again = open_judge(judge, book=PromptBook.of(run))  # its own words, whatever was decided since
        pipeline.refine(run, HashEncoder(), again)  # type: ignore[arg-type]
        assert (len(server.asked), run.judge) == (asked, judge)


# --- kept in the run ------------------------------------------------------------------------------------------------


def test_a_set_of_ones_own_is_kept_in_the_run_and_goes_on_to_the_runs_made_from_it(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    keep(run, MINE)
    edited = replace(MINE, system="Be very brief.")
    keep(run, edited)
    book = PromptBook.of(run)
    assert book.find("mine") == edited  # the last of the name
    assert book.find(MINE.version) == MINE  # whose verdicts may be there
    another = make_run(tmp_path, "another")
    carry_over(run, another)
    assert PromptBook.of(another).sets == book.sets
    with pytest.raises(NegRefineError, match="'paper' is the name of a prompt set that comes with the program"):
        keep(run, replace(MINE, name="paper"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text.replace("brief", "long"), "not as it was written"),
        (lambda text: text[:50], "cannot be read"),
        (lambda _: "[]", "not as it was written"),
        (lambda _: '{"sets": [{"name": "mine"}]}', "Field required"),
        (lambda _: '{"sets": [{"name": "m", "system": "", "proper_noun": "x", "subcategory": "x"}]}', "lacks"),
    ],
)  # fmt: skip
def test_a_damaged_file_of_prompt_sets_is_named_and_never_used(tmp_path: Path, damage, said: str) -> None:  # type: ignore[no-untyped-def]
    run = make_run(tmp_path)
    keep(run, MINE)
    file = run.path("prompts.json")
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(NegRefineError, match=rf"prompts\.json.*{said}"):
        PromptBook.of(run)


def test_the_command_line_shows_adds_and_uses_a_set(tiny_model: str, tmp_path: Path) -> None:
    run = Run.create("in-my-words", Settings(model=tiny_model, n_groups=2), IDS)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    name = ["--name", run.name]
    shown = CliRunner().invoke(app, ["prompts", *name, "--show", "paper"])
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(json.loads(shown.stdout) | {"name": "mine", "system": "Be brief."}), encoding="utf-8")
    assert CliRunner().invoke(app, ["prompts", *name, "--add", str(file)]).exit_code == 0
    assert "mine: Is '{negative}'" in CliRunner().invoke(app, ["prompts", *name]).stdout
    with LoopbackServer(says) as server:
        options = ["--judge", "openai", "--judge-model", "m", "--base-url", server.url, "--prompts", "mine", "--yes"]
        done = CliRunner().invoke(app, ["refine", *name, *options, "--device", "cpu"])
        assert done.exit_code == 0, done.output
        assert server.requests[0]["messages"][0]["content"] == "Be brief."
    assert JudgeIdentity.parse(Run.open(run.name).judge).prompts.startswith("mine-")
    file.write_text('{"name": "bad"}', encoding="utf-8")
    refused = CliRunner().invoke(app, ["prompts", *name, "--add", str(file)])
    assert isinstance(refused.exception, NegRefineError)
    assert "is no prompt set (system: Field required" in str(refused.exception)


# --- the structured answer ------------------------------------------------------------------------------------------


def asked_in(server: LoopbackServer, prompts: PromptSet, count: int = 6) -> list[tuple[str, str]]:
    judge = OpenAIJudge("m", server.url, concurrency=4, retries=1, wording=Wording(prompts))
    judged = judge_chains(judge, [[Question(f"word {i}", "proper noun")] for i in range(count)])
    return [(chain[0].answer, chain[0].reply) for chain in judged]


STRUCTURED = replace(MINE, is_structured=True)


def test_a_structured_set_asks_for_yes_or_no_alone_and_reads_the_answer_out_of_it() -> None:
    with LoopbackServer(lambda _: Action('{"answer": "Yes"}')) as server:
        assert asked_in(server, STRUCTURED) == [("yes", "Yes")] * 6
        assert asked_in(server, MINE) == [("unclear", '{"answer": "Yes"}')] * 6
    assert [r["response_format"]["type"] for r in server.requests[:6]] == ["json_schema"] * 6
    assert not any("response_format" in request for request in server.requests[6:])


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ('{\n\n"answer"\n\n:\n\n"No', "No"),  # cut off, as a small model's blanks fill the tokens
        ('{"answer": "Yes"}\n', "Yes"),
        ("Yes", "Yes"),
        ('{"answer": "Maybe"}', '{"answer": "Maybe"}'),
        ('"Yes"', '"Yes"'),
    ],
)
def test_a_structured_reply_is_read_as_far_as_it_came(text: str, reply: str) -> None:
    assert answer_in(text) == reply


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_without_structured_answers_is_asked_without_and_not_again_with(status: int) -> None:
    with LoopbackServer(refuses={"response_format": status}) as server:
        assert asked_in(server, STRUCTURED, 40) == [("no", "No")] * 40
        assert len(server.asked) == 40  # each once
        refused = [request for request in server.requests if "response_format" in request]
    assert len(refused) <= 2 * 4 + 2  # those in flight at the first refusal, and the other forms


def test_a_fault_of_the_server_is_not_taken_for_a_refusal() -> None:
    with LoopbackServer() as server:
        server.behave = lambda _: Action(status=500) if len(server.requests) == 1 else Action('{"answer": "No"}')
        assert asked_in(server, STRUCTURED, 1) == [("no", "No")]
        assert "response_format" in server.requests[-1]


# --- killed ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_refinement_in_other_words_that_is_killed_goes_on_without_asking_twice(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    keep(run, MINE)
    with LoopbackServer(lambda _: Action("No", delay=0.1)) as server:
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=refine, args=(run.folder, server.url, None), kwargs={"prompts": "mine"})
        child.start()
        until(lambda: len(run.verdicts) >= 3)
        os.kill(child.pid or 0, 9)
        child.join()
        kept = {verdict.prompt for verdict in run.verdicts}
        server.asked = []
        refine(run.folder, server.url, None, prompts="mine")
        assert kept.isdisjoint(prompt for _, prompt in server.asked)
        assert len(run.verdicts) == len({verdict.subject for verdict in run.verdicts}) == 16
