"""What speaks against a run's verdicts may come with it, and is believed only where it was made from them."""

import json
from pathlib import Path

import pytest

from negrefine_core.judge import Question
from negrefine_core.judges import doubts
from negrefine_core.judges.doubts import doubts_of, keep_doubts, work_out
from negrefine_core.lexicon import WordNet
from negrefine_core.records import Negative, Verdict
from negrefine_core.run_files.doubts import DOUBTS, Doubts
from negrefine_core.runs import Run, Settings


def verdict(negative: str, id_label: str | None, answer: str, judge: str = "llm") -> Verdict:
    question = Question(negative, "subcategory" if id_label else "proper noun", id_label)
    said = "yes" if answer == "yes" else "no"
    return Verdict(negative, question.kind, id_label, 0.5, question.prompt, answer, said, judge, "", 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create("mine", Settings(judge="llm"), ["safe", "daisy"], tmp_path)
    run.write_initial_negatives(
        Negative(label, "noun", 0.1) for label in ("common sage", "oslo", "granite", "oxeye daisy")
    )
    with run.verdict_log() as log:
        for answered in (
            verdict("common sage", None, "no"), verdict("common sage", "safe", "yes"), verdict("oslo", None, "no"),
            verdict("granite", None, "yes"), verdict("granite", None, "no", "another"),
            verdict("oxeye daisy", "daisy", "no"),
        ):  # fmt: skip
            log.append(answered)
    run.note_judge("llm")
    return run


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> WordNet:
    """A WordNet that cannot be asked anything."""
    wordnet = WordNet()
    monkeypatch.setattr(wordnet, "_nouns", None)
    return wordnet


def test_doubts_are_of_rejected_and_of_kept_negatives_and_of_every_judge(run: Run, wordnet: WordNet) -> None:
    found = work_out(run, wordnet).found
    assert found.keys() == {"common sage", "oslo", "granite", "oxeye daisy"}
    assert "'sage' is merely spelt like 'safe'" in found["common sage"][1]
    assert "WordNet knows it only as a proper noun" in found["oslo"][1]
    assert "the other judge disagrees" in found["granite"][1]
    assert "it ends in the ID class 'daisy'" in found["oxeye daisy"][1]


def test_doubts_that_came_with_the_run_are_those_worked_out_and_ask_wordnet_nothing(
    run: Run, wordnet: WordNet, unasked: WordNet
) -> None:
    keep_doubts(run, wordnet)
    assert doubts_of(run, unasked) == work_out(run, wordnet)


def _another_verdict(run: Run) -> None:
    with run.verdict_log() as log:
        log.append(verdict("common sage", "safe", "no", "a third"))


def _another_judge(run: Run) -> None:
    run.update_info(judge="another")


def _damage(run: Run) -> None:
    content = json.loads(run.path(DOUBTS).read_text())
    content["found"][0][1] = 0.0
    run.path(DOUBTS).write_text(json.dumps(content))


def _cut(run: Run) -> None:
    run.path(DOUBTS).write_bytes(run.path(DOUBTS).read_bytes()[:40])


def _replace_by_a_list(run: Run) -> None:
    run.path(DOUBTS).write_text("[]")


@pytest.mark.parametrize("change", [_another_verdict, _another_judge, _damage, _cut, _replace_by_a_list])
def test_doubts_of_other_verdicts_or_of_a_damaged_file_are_worked_out_anew(
    run: Run, wordnet: WordNet, change: object
) -> None:
    keep_doubts(run, wordnet)
    assert callable(change)
    change(run)
    assert doubts_of(run, wordnet) == work_out(run, wordnet)


@pytest.mark.parametrize("name", ["SIGNS", "bundled_digest"])
def test_doubts_of_older_signs_or_another_wordnet_are_not_believed(
    run: Run, wordnet: WordNet, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(doubts, "work_out", lambda run, wordnet: Doubts("noun.made-up", {}))
    keep_doubts(run, wordnet)
    assert doubts_of(run, wordnet).usual_file == "noun.made-up"
    monkeypatch.setattr(doubts, "work_out", lambda run, wordnet: Doubts("noun.new", {}))
    monkeypatch.setattr(doubts, name, 2 if name == "SIGNS" else lambda: "another")
    assert doubts_of(run, wordnet).usual_file == "noun.new"
