"""Judges compared, and the suspicion that orders the review."""

from pathlib import Path

import pytest

from negrefine_core.judge import Answer, Question
from negrefine_core.judges.agreement import (
    compare_judges,
    second_opinion,
    spelling_trap,
    suspicions,
    suspicions_of_kept,
    wordnet_contradicts,
)
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.lexicon import WordNet
from negrefine_core.negfilter import Verdict
from negrefine_core.reference import read_log


def verdict(negative: str, id_label: str | None = None, answer: Answer = "yes", similarity: float = 0.5) -> Verdict:
    question = Question(negative, "subcategory" if id_label else "proper noun", id_label)
    return Verdict(negative, question.kind, id_label, similarity, question.prompt, answer, answer, "j", "", 0.0)


def answers(*given: Answer) -> list[Verdict]:
    return [verdict(f"word {i}", None, answer) for i, answer in enumerate(given)]


def test_agreement_kappa_and_confusion_are_those_counted_by_hand() -> None:
    result = compare_judges(answers("yes", "yes", "no", "no", "unclear"), answers("yes", "no", "no", "no", "yes"))
    assert (result.questions, result.agreement) == (5, pytest.approx(3 / 5))
    expected = (2 / 5) * (2 / 5) + (3 / 5) * (3 / 5)  # each judge says yes to 2 of 5
    assert result.kappa == pytest.approx((3 / 5 - expected) / (1 - expected))
    assert result.confusion.loc["yes", "no"] == 1
    assert result.confusion.loc["unclear", "yes"] == 1
    assert [a.negative for a, _ in result.disagreements] == ["word 1", "word 4"]


def test_judges_that_never_vary_or_share_no_question_have_no_kappa() -> None:
    assert compare_judges(answers("no", "no"), answers("no", "no")).kappa is None
    nothing = compare_judges(answers("yes"), [])
    assert (nothing.questions, nothing.kappa, nothing.disagreements) == (0, None, ())


def test_a_second_opinion_answers_every_question_whatever_the_first_judge_said(wordnet: WordNet) -> None:
    first = [verdict("oslo"), verdict("oslo", "city", "no"), verdict("poodle", "dog", "no")]
    assert [v.answer for v in second_opinion(WordNetJudge(), first)] == ["yes", "yes", "yes"]


@pytest.mark.parametrize(
    ("negative", "id_label", "trap"),
    [
        ("radioactive iodine excretion test", "radio", ("radioactive", "radio")),
        ("common sage", "safe", ("sage", "safe")),
        ("organ stop", "pipe organ", None),
        ("philadelphia fleabane", "daisy", None),
        ("daisies", "daisy", None),
        ("earthstar", "earth star fungus", None),
    ],
)
def test_words_that_are_merely_spelt_alike_are_traps(
    negative: str, id_label: str, trap: tuple[str, str] | None
) -> None:
    assert spelling_trap(negative, id_label) == trap


def test_suspicion_puts_the_famous_mistakes_first_and_says_why(wordnet: WordNet) -> None:
    rejections = [
        verdict("african daisy", "daisy", similarity=0.9),
        verdict("oslo"),
        verdict("common sage", "safe", similarity=0.4),
        verdict("radioactive iodine excretion test", "radio", similarity=0.6),
        verdict("granite"),
    ]
    found = suspicions(rejections, wordnet, [[verdict("granite", None, "no")]])
    order = [s.verdict.negative for s in found]
    assert set(order[:3]) == {"common sage", "radioactive iodine excretion test", "granite"}
    assert found[-1].score == 0
    why = {s.verdict.negative: s.why for s in found}
    assert why["common sage"].startswith("'common sage' was called a subcategory of 'safe', but ")
    assert "'sage' is merely spelt like 'safe'" in why["common sage"]
    assert "the other judge disagrees" in why["granite"]
    assert why["oslo"] == "'oslo' was called a proper noun; nothing speaks against it."
    assert all(0 <= s.score < 1 for s in found)


def test_a_kind_of_another_sense_than_the_class_list_means_is_doubtful(wordnet: WordNet) -> None:
    stamp, bird = verdict("handstamp", "seal"), verdict("whooping crane", "crane")
    (first, second) = suspicions([bird, stamp], wordnet, id_labels=["seal", "crane", "dog", "otter", "walrus"])
    assert first.verdict is stamp
    assert "only in another sense of 'seal': a device" in first.why
    assert second.score == 0
    assert suspicions([stamp], wordnet, id_labels=["seal", "sushi", "car"])[0].score == 0


def test_the_less_two_words_have_in_common_the_more_doubtful_a_subcategory_is(wordnet: WordNet) -> None:
    far, near, taxon = verdict("terahertz", "radio"), verdict("smooth aster", "daisy"), verdict("helenium", "daisy")
    assert [s.verdict.negative for s in suspicions([taxon, near, far], wordnet)] == [
        "terahertz", "smooth aster", "helenium",
    ]  # fmt: skip


def test_a_word_without_a_capital_in_wordnet_is_the_more_doubtful_proper_noun(wordnet: WordNet) -> None:
    small, both, capital = verdict("bluejack oak"), verdict("etna"), verdict("genus ginkgo")
    assert [s.verdict.negative for s in suspicions([capital, both, small], wordnet)] == [
        "bluejack oak", "etna", "genus ginkgo",
    ]  # fmt: skip


def test_what_was_kept_is_doubted_where_wordnet_its_name_or_another_judge_says_yes(wordnet: WordNet) -> None:
    chains = [
        [verdict("velvet", None, "no"), verdict("velvet", "dog", "no")],
        [verdict("oslo", None, "no")],
        [verdict("poodle", None, "no"), verdict("poodle", "cat", "no"), verdict("poodle", "dog", "no")],
        [verdict("toy radio", None, "no"), verdict("toy radio", "radio", "unclear")],
        [verdict("granite", None, "no")],
    ]
    found = suspicions_of_kept(chains, wordnet, [[verdict("granite", None, "yes")]])
    why = {s.verdict.negative: s.why for s in found}
    assert "knows it only as a proper noun" in why["oslo"]
    assert "among the kinds of 'dog'" in why["poodle"]
    assert "ends in the ID class 'radio'" in why["toy radio"]
    assert "neither yes nor no" in why["toy radio"]
    assert "another judge calls it a proper noun" in why["granite"]
    assert (found[-1].verdict.negative, found[-1].score) == ("velvet", 0)
    assert found[0].verdict.negative == "toy radio"  # two signs
    alone = {s.verdict.negative: s.score for s in suspicions_of_kept(chains, None)}
    assert alone["oslo"] == alone["poodle"] == 0  # WordNet was the judge itself


def test_wordnet_contradicts_only_what_it_knows(wordnet: WordNet) -> None:
    assert wordnet_contradicts(verdict("granite"), wordnet)
    assert not wordnet_contradicts(verdict("oslo"), wordnet)
    assert not wordnet_contradicts(verdict("flibbertigibbetry"), wordnet)
    assert wordnet_contradicts(verdict("granite", "dog"), wordnet)
    assert not wordnet_contradicts(verdict("poodle", "dog"), wordnet)


@pytest.mark.slow
def test_wordnet_and_the_published_judge_compare_as_measured(golden: Path, wordnet: WordNet) -> None:
    published = read_log(golden / "imagenet-seed0" / "llm_process_noun.txt")
    asked = [v for v in published if v.kind == "proper noun" or v.answer == "yes"]
    second = second_opinion(WordNetJudge(), asked)
    proper = compare_judges((v for v in asked if v.kind == "proper noun"), second)
    assert proper.questions == 7021
    assert proper.confusion.loc["yes", "yes"] == 1168
    assert proper.confusion.loc["yes", "yes"] / proper.confusion["yes"].sum() == pytest.approx(0.96, abs=0.01)
    below = compare_judges((v for v in asked if v.kind == "subcategory"), second)
    assert below.confusion.loc["yes", "yes"] == 13
    rejected = [v for v in asked if v.answer == "yes"]
    order = [s.verdict.negative for s in suspicions(rejected, wordnet)]
    assert order.index("common sage") < 5
    assert order.index("radioactive iodine excretion test") < 5
    assert {"fairy ring", "milky way", "barium sulphate", "spaghetti junction"} < set(order[:20])
