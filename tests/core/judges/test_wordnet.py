"""Questions in the paper's words, replies, and the judge that needs no language model."""

import asyncio
from pathlib import Path

import pytest

from negrefine_core.judge import PUBLISHED, SYSTEM_PROMPT, JudgeIdentity, Question, Reply
from negrefine_core.judges.wordnet import WordNetJudge


@pytest.fixture(scope="module")
def judge() -> WordNetJudge:
    return WordNetJudge()


def ask(judge: WordNetJudge, question: Question) -> str:
    return asyncio.run(judge.ask(question)).answer


def test_the_questions_are_the_papers_word_for_word() -> None:
    assert SYSTEM_PROMPT == "You are a helpful assistant. Answering only Yes/No."
    assert Question("pocatello", "proper noun").prompt == (
        "Is 'pocatello' a proper noun, "
        "like the name of a city, country, mountain, river, or any unique place or entity?"
    )
    assert Question("sage", "subcategory", "safe").prompt == "Is 'sage' a subcatgeory of 'safe'?"
    assert Question("safe", "same", "safe").prompt == ""


def test_labels_that_look_like_placeholders_are_quoted_as_they_are() -> None:
    question = Question("{id_label} {negative}", "subcategory", "{negative}")
    assert question.prompt == "Is '{id_label} {negative}' a subcatgeory of '{negative}'?"


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Yes", "yes"), ("yes.", "yes"), ("YES, it is", "yes"), ("  Yes\n", "yes"), ("No", "no"), ("no!", "no"),
     ("", "unclear"), ("Maybe", "unclear"), ("It is: yes", "unclear"), ("<think>yes", "unclear")],
)  # fmt: skip
def test_a_reply_that_starts_with_yes_is_a_yes_and_one_that_is_neither_is_unclear(text: str, answer: str) -> None:
    assert Reply(text).answer == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [(Question("lake michigan", "proper noun"), "yes"),
     (Question("turkey", "proper noun"), "no"),
     (Question("poodle", "subcategory", "dog"), "yes"),
     (Question("dog", "subcategory", "poodle"), "no"),
     (Question("common sage", "subcategory", "safe"), "no"),
     (Question("gooey landscape", "subcategory", "dog"), "no")],
)  # fmt: skip
def test_the_wordnet_judge_answers_by_instances_and_hyponyms(
    judge: WordNetJudge, question: Question, answer: str
) -> None:
    assert ask(judge, question) == answer


@pytest.mark.parametrize(
    ("text", "identity"),
    [("wordnet", JudgeIdentity.wordnet()),
     ("wordnet:nltk", JudgeIdentity.wordnet("nltk")),
     ("openai", JudgeIdentity("openai")),
     ("openai:org/m:2@http://127.0.0.1:8000/v1", JudgeIdentity.openai("org/m:2", "http://127.0.0.1:8000/v1")),
     ("openai:m@2@http://h/v1", JudgeIdentity.openai("m@2", "http://h/v1")),
     ("replay:demo", JudgeIdentity.replay("demo")),
     ("replay:/a:b", JudgeIdentity.replay("/a:b")),
     ("published", JudgeIdentity(PUBLISHED)),
     ("somebody", JudgeIdentity("somebody"))],
)  # fmt: skip
def test_an_identity_is_read_as_it_was_written(text: str, identity: JudgeIdentity) -> None:
    assert JudgeIdentity.parse(text) == identity
    assert str(identity) == text


def test_a_language_models_identity_names_it_and_its_server() -> None:
    identity = JudgeIdentity.parse("openai:m@2@http://h:1/v1")
    assert (identity.kind, identity.model, identity.url) == ("openai", "m@2", "http://h:1/v1")


def test_judges_on_different_wordnets_have_different_identities() -> None:
    assert WordNetJudge().identity == "wordnet"
    assert WordNetJudge("nltk").identity != WordNetJudge().identity


def test_the_wordnet_judge_agrees_with_the_papers_llm_as_far_as_measured(judge: WordNetJudge, golden: Path) -> None:
    """Of the LLM's 1,748 proper nouns WordNet finds two thirds, at 96% precision; of its 275 subcategories, few."""
    negatives, llm, subcategories = set(), set(), []
    for line in (golden / "imagenet-seed0" / "llm_process_noun.txt").read_text(encoding="utf-8").splitlines():
        negative, _, rest = (part.strip() for part in line.partition("|"))
        if not rest:
            continue
        negatives.add(negative)
        if rest == "proper noun":
            llm.add(negative)
        elif rest.endswith("| subcategory"):
            id_label = rest.removesuffix("| subcategory").strip()
            subcategories.append(Question(negative, "subcategory", id_label))
    found = {negative for negative in negatives if ask(judge, Question(negative, "proper noun")) == "yes"}
    below = sum(ask(judge, question) == "yes" for question in subcategories)
    agreed = found & llm
    assert len(llm) == 1_748
    assert 1_168 <= len(agreed) <= 1_184
    assert len(agreed) / len(found) == pytest.approx(0.96, abs=0.01)
    assert (below, len(subcategories)) == (13, 275)
