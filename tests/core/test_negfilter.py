"""NegFilter: cleaning, the chain of questions, and the published decisions replayed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import Cancelled
from negrefine_core.judge import Question, Reply
from negrefine_core.lexicon import bundled_first_lemmas
from negrefine_core.mining import Negative
from negrefine_core.negfilter import NegFilter, Verdict, clean_negatives, question_chains

IDS = [f"class {i}" for i in range(14)]


def nouns(*labels: str) -> list[Negative]:
    return [Negative(label, "noun", 0.1) for label in labels]


class ListedJudge:
    """Says yes to the prompts it was given, and what it was told to say to others."""

    identity = "listed"

    def __init__(self, *yes: str, otherwise: str = "No", concurrency: int = 1) -> None:
        self.yes, self.otherwise, self.concurrency = set(yes), otherwise, concurrency
        self.asked: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        self.asked.append(question.prompt)
        await asyncio.sleep(0)
        return Reply("Yes, it is." if question.prompt in self.yes else self.otherwise)


# --- cleaning ------------------------------------------------------------------------------------------------------


def test_cleaning_keeps_letters_underscores_hyphens_and_spaces() -> None:
    dirty = nouns("st. john's wort", "wi-fi_2", "7-11", "a.b", "o'neill", "été")
    assert [n.label for n in clean_negatives(dirty)] == ["st johns wort", "wi-fi_", "oneill", "été"]


def test_cleaning_keeps_letters_of_every_script_and_nothing_else_of_them() -> None:
    dirty = ["naïveté", "Ærø 7", "红细胞", "волк№5", "a\u0308bc", "犬"]
    expected = ["".join(c for c in label if c.isalpha() or c in "_- ") for label in dirty]  # as the published code
    assert expected[:4] == ["naïveté", "Ærø ", "红细胞", "волк"]
    assert [n.label for n in clean_negatives(nouns(*dirty))] == [label for label in expected if len(label) > 2]


def test_a_noun_that_is_an_adjectives_phrase_too_is_kept_once_as_the_noun() -> None:
    both = [Negative("outer space", "noun", 0.1), Negative("outer space", "adjective", 0.2)]
    assert clean_negatives(both) == both[:1]


def test_no_label_of_the_bundled_wordnet_is_cleaned_otherwise_than_by_ascii_letters() -> None:
    assert all(lemma.isascii() for lemma, _ in bundled_first_lemmas())


def test_cleaning_drops_duplicates_and_keeps_the_first_place_and_its_similarity() -> None:
    found = clean_negatives(
        [Negative("abc.", "noun", 0.1), Negative("xyz", "noun", 0.2), Negative("abc", "adjective", 0.3)]
    )
    assert found == [Negative("abc", "noun", 0.1), Negative("xyz", "noun", 0.2)]


def read(golden: Path, name: str) -> list[str]:
    lines = (golden / "imagenet-seed0" / name).read_text(encoding="utf-8").splitlines()
    return [line.rstrip(" ") for line in lines if line.strip()]


def test_the_published_nouns_and_adjectives_clean_to_the_published_counts(golden: Path) -> None:
    mined = read(golden, "initial_neg_labels_noun.txt")
    assert len(mined) == 7_023
    assert len(clean_negatives(nouns(*mined))) == 7_021
    adjectives = read(golden, "initial_neg_labels_adj.txt")
    assert len(clean_negatives(nouns(*adjectives))) == len(adjectives) == 1_404


# --- chains --------------------------------------------------------------------------------------------------------


def test_a_chain_asks_for_a_proper_noun_first_and_then_about_the_ten_most_similar_ids(encoder: OpenClipEncoder) -> None:
    negatives = nouns("rock", "tree house", "sky")
    for negative, chain in zip(negatives, question_chains(encoder, negatives, IDS), strict=True):
        feature = encoder.encode_texts([negative.label])[0]
        similarity = {label: float(encoder.encode_texts([label])[0] @ feature) for label in IDS}
        nearest = sorted(similarity.values(), reverse=True)[:10]
        assert (chain[0].kind, chain[0].id_label, chain[0].negative) == ("proper noun", None, negative.label)
        assert {question.kind for question in chain[1:]} == {"subcategory"}
        assert [question.similarity for question in chain[1:]] == pytest.approx(nearest, abs=1e-5)
        assert [similarity[str(q.id_label)] for q in chain[1:]] == pytest.approx(nearest, abs=1e-5)


@pytest.mark.parametrize("count", [1, 9, 10, 11])
def test_fewer_than_ten_id_labels_are_all_asked_about(encoder: OpenClipEncoder, count: int) -> None:
    (chain,) = question_chains(encoder, nouns("rock"), IDS[:count])
    assert len(chain) == 1 + min(10, count)
    assert len({question.id_label for question in chain[1:]}) == min(10, count)


def test_the_first_yes_ends_a_labels_questions_and_rejects_it(encoder: OpenClipEncoder) -> None:
    chains = question_chains(encoder, nouns("rock", "tree", "sky"), IDS)
    third = chains[1][3]
    judge = ListedJudge(chains[0][0].prompt, third.prompt)
    found = NegFilter(judge, encoder).run(nouns("rock", "tree", "sky"), IDS)
    assert [n.label for n in found.kept] == ["sky"]
    assert [(v.negative, v.kind, v.id_label) for v in found.rejected] == [
        ("rock", "proper noun", None), ("tree", "subcategory", third.id_label),
    ]  # fmt: skip
    expected = [chains[0][0], *chains[1][:4], *chains[2]]
    assert judge.asked == [question.prompt for question in expected]
    assert [v.prompt for v in found.verdicts] == judge.asked
    assert found.rejected[0].reply == "Yes, it is."


def test_a_word_equal_to_an_id_label_is_rejected_as_same_and_nobody_is_asked(encoder: OpenClipEncoder) -> None:
    judge = ListedJudge()
    found = NegFilter(judge, encoder).run(nouns("Red Fox", "rock"), ["red fox"])
    assert [(v.kind, v.answer, v.prompt) for v in found.rejected] == [("same", "yes", "")]
    assert [n.label for n in found.kept] == ["rock"]
    assert len(judge.asked) == 3


@pytest.mark.parametrize("reply", ["Perhaps", "", "I would say yes"])
def test_an_unclear_reply_is_kept_as_it_is_and_counts_as_no(encoder: OpenClipEncoder, reply: str) -> None:
    found = NegFilter(ListedJudge(otherwise=reply), encoder).run(nouns("rock"), IDS)
    assert len(found.kept) == 1
    assert {(v.answer, v.reply) for v in found.verdicts} == {("unclear", reply)}


def test_known_verdicts_are_not_asked_again(encoder: OpenClipEncoder) -> None:
    first = NegFilter(ListedJudge(), encoder).run(nouns("rock", "tree"), IDS)
    known = first.verdicts
    new: list[Verdict] = []
    judge = ListedJudge()
    again = NegFilter(judge, encoder).run(nouns("rock", "tree", "sky"), IDS, known, new.append)
    assert {verdict.negative for verdict in new} == {"sky"}
    assert len(judge.asked) == len(new) == 11
    old = again.verdicts[: len(first.verdicts)]
    assert [replace(v, similarity=None) for v in old] == [replace(v, similarity=None) for v in first.verdicts]
    assert [v.similarity for v in old] == pytest.approx([v.similarity for v in first.verdicts], abs=2e-6)
    judge = ListedJudge()
    asked = [str(verdict.id_label) for verdict in first.verdicts if verdict.negative == "rock" and verdict.id_label]
    NegFilter(judge, encoder).run(nouns("rock"), [*asked[:9], "another class"], known)
    assert judge.asked == ["Is 'rock' a subcatgeory of 'another class'?"]


def test_many_labels_at_once_give_the_same_answer_in_the_same_order(encoder: OpenClipEncoder) -> None:
    negatives = nouns(*(f"thing {chr(97 + i)}{chr(97 + j)}" for i in range(5) for j in range(8)))
    yes = [chain[i % 11].prompt for i, chain in enumerate(question_chains(encoder, negatives, IDS))]
    one = NegFilter(ListedJudge(*yes[::2]), encoder).run(negatives, IDS)
    many = NegFilter(ListedJudge(*yes[::2], concurrency=16), encoder).run(negatives, IDS)
    assert many.kept == one.kept
    assert len(one.kept) == 20
    assert [(v.prompt, v.answer) for v in many.verdicts] == [(v.prompt, v.answer) for v in one.verdicts]


def test_each_verdict_is_told_at_once_and_a_cancel_keeps_them(encoder: OpenClipEncoder) -> None:
    told: list[Verdict] = []

    def cancel(done: int, total: int) -> None:
        assert total == 3
        if done == 2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        NegFilter(ListedJudge(), encoder).run(nouns("rock", "tree", "sky"), IDS, None, told.append, cancel)
    assert [verdict.negative for verdict in told] == ["rock"] * 11 + ["tree"] * 11


def test_it_works_inside_a_running_event_loop(encoder: OpenClipEncoder) -> None:
    async def notebook() -> int:
        return len(NegFilter(ListedJudge(), encoder).run(nouns("rock"), IDS).kept)

    assert asyncio.run(notebook()) == 1


def test_no_negatives_ask_nothing(encoder: OpenClipEncoder) -> None:
    found = NegFilter(ListedJudge(), encoder).run([], IDS)
    assert (found.kept, found.rejected, found.verdicts) == ((), (), ())


# --- the published decisions ---------------------------------------------------------------------------------------


class LogJudge:
    """Answers as the published log says the LLM answered; whoever asks what was not asked there is wrong."""

    identity = "published log"
    concurrency = 1

    def __init__(self, lines: Sequence[str]) -> None:
        self.replies: dict[str, str] = {}
        for line in lines:
            negative, *rest = (part.strip(" ") for part in line.split("|"))
            if not rest:
                continue
            if rest[0] == "proper noun" and len(rest) == 1:
                self.replies[Question(negative, "proper noun").prompt] = "Yes"
                continue
            self.replies.setdefault(Question(negative, "proper noun").prompt, "No")
            self.replies[Question(negative, "subcategory", rest[0]).prompt] = (
                "Yes" if rest[1] == "subcategory" else "No"
            )

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        return Reply(self.replies[question.prompt])


class LogEncoder:
    """Text features for which each negative's ten nearest ID labels are those of the log, in the log's order."""

    name, fingerprint = "published log", "log"

    def __init__(self, lines: Sequence[str]) -> None:
        self.ids: dict[str, int] = {}
        self.nearest: dict[str, list[str]] = {}
        for line in lines:
            negative, *rest = (part.strip(" ") for part in line.split("|"))
            if rest:
                asked = self.nearest.setdefault(negative, [])
                if rest[0] != "proper noun" or len(rest) > 1:
                    asked.append(rest[0])
                    self.ids.setdefault(rest[0], len(self.ids))
        self.dim = len(self.ids)
        twice = {label for asked in self.nearest.values() for label in asked if asked.count(label) > 1}
        assert twice <= {"missile", "sunglasses"}  # ImageNet's list has these names twice
        self.id_labels = [*self.ids, *sorted(twice)]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        features = torch.zeros(len(texts), self.dim)
        for row, text in zip(features, texts, strict=True):
            if text in self.nearest:
                for place, label in reversed(list(enumerate(self.nearest[text]))):
                    row[self.ids[label]] = 1 - place / 20
            else:
                row[self.ids[text]] = 1
        return features

    encode_labels = encode_images = None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "proper", "subcategories", "kept"), [("noun", 1_748, 275, 4_998), ("adj", 0, 32, 1_372)]
)
def test_replaying_the_published_log_gives_the_published_negatives_in_their_order(
    golden: Path, kind: str, proper: int, subcategories: int, kept: int
) -> None:
    log = (golden / "imagenet-seed0" / f"llm_process_{kind}.txt").read_text(encoding="utf-8").splitlines()
    encoder = LogEncoder(log)
    assert not set(encoder.nearest) & set(encoder.ids)  # else a text would stand for both
    mined = clean_negatives(nouns(*read(golden, f"initial_neg_labels_{kind}.txt")))
    by_label = {negative.label.strip(): negative for negative in mined}
    assert len(by_label) == len(mined) == len(encoder.nearest)
    in_log_order = nouns(*encoder.nearest)  # the paper went through a set, so its order is its own
    found = NegFilter(LogJudge(log), encoder).run(in_log_order, encoder.id_labels)
    kinds = [verdict.kind for verdict in found.rejected]
    assert (kinds.count("proper noun"), kinds.count("subcategory"), len(found.kept)) == (proper, subcategories, kept)
    assert [n.label for n in found.kept] == [label.strip() for label in read(golden, f"neg_labels_{kind}.txt")]
