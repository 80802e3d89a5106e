"""Blind reviews: each person's own until merged, agreement against a naive count, and merging that can be repeated."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from negrefine_core import overrides, reviews
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.records import Override
from negrefine_core.run_files import logs
from negrefine_core.runs import Run
from tests.core.test_overrides import labels, make_run

ADA = {
    "oslo": ("kept", "an opera"),
    "granite": ("dropped", "a stone"),
    "velvet": ("kept", ""),
    "radiogram": ("kept", ""),
}
BEN = {"oslo": ("kept", ""), "granite": ("dropped", "too near"), "velvet": ("dropped", "cloth"), "st x": ("kept", "")}


def reviewed(runs: Path) -> Run:
    run = make_run(runs)
    run.note_judge("wordnet")
    reviews.decide(run, "Ada", ADA)
    reviews.decide(run, "Ben", BEN)
    return run


def said(run: Run) -> list[tuple[str, str, str, str]]:
    return [(o.negative, o.new, o.reason, o.who) for o in run.overrides]


def test_decisions_are_their_persons_own_until_they_are_merged_under_both_names(tmp_path: Path) -> None:
    run = reviewed(tmp_path)
    assert (run.overrides, labels(run)) == ([], ["granite", "velvet", "st x"])
    assert list(reviews.decided_by(run, "Ada")) == list(ADA)
    assert list(reviews.agreed(run)) == ["granite", "oslo"]
    assert list(reviews.disagreements(run)) == ["velvet"]
    reviews.merge(run, 2)
    assert said(run) == [
        ("granite", "dropped", "Ada: a stone; Ben: too near", "Ada, Ben"),
        ("oslo", "kept", "Ada: an opera", "Ada, Ben"),
    ]  # fmt: skip
    assert labels(run) == ["oslo", "velvet", "st x"]
    assert reviews.merge(run) == []
    overrides.undo(run, "Cy")  # the merged decision on oslo: it may be merged anew
    assert list(reviews.agreed(run)) == ["oslo"]


def test_what_people_disagree_on_is_open_until_somebody_settles_it(tmp_path: Path) -> None:
    run = reviewed(tmp_path)
    overrides.confirm(run, ["velvet"], "Cy")
    assert reviews.disagreements(run) == {}
    overrides.undo(run, "Cy")
    assert [(r.who, r.decision, r.reason) for r in reviews.disagreements(run)["velvet"]] == [
        ("Ada", "kept", ""), ("Ben", "dropped", "cloth"),
    ]  # fmt: skip
    assert overrides.override(run, ["velvet", "oslo"], "kept", "Cy", "soft")[0].negative == "oslo"
    reviews.settle(run, ["velvet", "oslo"], "kept", "Cy", "soft")
    assert said(run)[-1] == ("velvet", "kept", "soft", "Cy")
    assert reviews.settle(run, ["velvet", "granite"], "dropped", "Cy") == []
    assert reviews.disagreements(run) == {}
    assert list(reviews.agreed(run)) == ["granite"]  # oslo was decided since by Cy
    reviews.decide(run, "Dee", {"velvet": ("kept", "")})  # a third person says a word afterwards
    assert len(reviews.disagreements(run)["velvet"]) == 3


def test_merging_that_was_killed_between_two_lines_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = reviewed(tmp_path / "a"), reviewed(tmp_path / "b")
    reviews.merge(whole)
    append = logs.append

    def killed(path: Path, records: list[Override]) -> None:
        append(path, list(records)[:1])
        raise KeyboardInterrupt

    monkeypatch.setattr(logs, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        reviews.merge(run)
    monkeypatch.setattr(logs, "append", append)
    assert len(reviews.merge(Run.open(run.folder))) == 1
    assert (said(run), labels(run)) == (said(whole), labels(whole))


def test_merging_that_would_leave_no_negative_writes_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    every = {negative.label: ("dropped", "") for negative in run.reviewable}
    for who in ("Ada", "Ben"):
        reviews.decide(run, who, every)
    run.note_judge("wordnet")
    with pytest.raises(NegRefineError, match="would drop every negative"):
        reviews.merge(run)
    assert run.overrides == []


def naive_kappa(one: list[str], other: list[str]) -> float:
    alike = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
    chance = sum(one.count(word) * other.count(word) for word in ("kept", "dropped")) / len(one) ** 2
    return (alike - chance) / (1 - chance)


def test_kappa_is_that_of_a_naive_count_and_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.metrics import cohen_kappa_score

    for seed in range(5):
        run = make_run(tmp_path, f"r{seed}")
        words = [negative.label for negative in run.reviewable]
        drawn = np.random.default_rng(seed).choice(["kept", "dropped"], size=(2, len(words))).tolist()
        drawn[0][:2], drawn[1][:2] = ["kept", "dropped"], ["kept", "dropped"]
        for who, column in zip(("Ada", "Ben"), drawn, strict=True):
            reviews.decide(run, who, {word: (to, "") for word, to in zip(words, column, strict=True)})
        (found,) = reviews.agreements(run)
        assert found.kappa.value is not None
        assert math.isclose(found.kappa.value, naive_kappa(*drawn), abs_tol=1e-9)
        assert math.isclose(found.kappa.value, cohen_kappa_score(*drawn), abs_tol=1e-9)
        assert found.share.value == sum(a == b for a, b in zip(*drawn, strict=True)) / len(words)
        assert found.kappa.bounds
        assert found.kappa.bounds.low <= found.kappa.value <= found.kappa.bounds.high


def test_why_there_is_no_kappa_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    reviews.decide(run, "Ada", {"oslo": ("kept", ""), "granite": ("kept", "")})
    reviews.decide(run, "Ben", {"velvet": ("kept", "")})
    assert "no label in common" in reviews.agreement(run, "Ada", "Ben").kappa.why
    reviews.decide(run, "Ben", {"oslo": ("dropped", ""), "granite": ("kept", "")})
    found = reviews.agreement(run, "Ada", "Ben")
    assert (found.share.value, found.differ) == (0.5, ("oslo",))
    assert found.kappa.why.startswith("Ada kept every label")


def test_only_ones_own_decision_is_taken_back(tmp_path: Path) -> None:
    run = reviewed(tmp_path)
    with pytest.raises(NegRefineError, match="'st x' was decided by Ben; only they take that back, not Ada"):
        reviews.undo(run, "Ada", "st x")
    assert [r.negative for r in reviews.undo(run, "Ada", "granite")] == ["granite"]
    assert [r.negative for r in reviews.undo(run, "Ada")] == ["radiogram"]
    assert list(reviews.decided_by(run, "Ada")) == ["oslo", "velvet"]
    assert list(reviews.decided_by(run, "Ben")) == list(BEN)
    assert reviews.undo(run, "Zoe") == []


def test_a_decision_that_another_window_made_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    run = reviewed(tmp_path)
    seen = run.reviews[-1].number + 1
    reviews.decide(run, "Ben", {"radiogram": ("kept", "")}, seen)  # of another person: no matter
    reviews.decide(run, "Ada", {"st x": ("dropped", "")}, seen)
    with pytest.raises(overrides.DecidedMeanwhileError, match="in another window you decided on 'st x'"):
        reviews.decide(run, "Ada", {"st x": ("kept", "")}, seen)
    with pytest.raises(overrides.DecidedMeanwhileError):
        reviews.undo(run, "Ada", seen=seen)
    assert reviews.decided_by(run, "Ada")["st x"].decision == "dropped"


@pytest.mark.parametrize("who", ["Ada\nLovelace", "<b>Ada</b>", "阿达 · Ада", "Ada\x1b[31m"])
def test_a_name_is_kept_on_one_line_in_any_script(who: str, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (entry,) = reviews.decide(run, who, {"oslo": ("kept", "")})
    assert entry.who.isprintable()
    assert reviews.undo(run, who)[0].who == entry.who
    assert Run.open(run.folder).reviews[0].who == entry.who


@pytest.mark.parametrize("who", ["", " \n ", "x" * 81])
def test_a_name_that_is_none_is_refused(who: str, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with pytest.raises(NegRefineError, match=r"name|whose"):
        reviews.decide(run, who, {"oslo": ("kept", "")})
    assert not run.path("reviews.jsonl").exists()


def test_reviews_that_are_lost_or_changed_are_said(tmp_path: Path) -> None:
    run = reviewed(tmp_path)
    assert "reviews" not in json.loads(make_run(tmp_path / "old").path("run.json").read_text(encoding="utf-8"))
    lines = run.path("reviews.jsonl").read_bytes().splitlines(keepends=True)
    run.path("reviews.jsonl").write_bytes(b"".join(lines[:-1]))
    with pytest.raises(NegRefineError, match=r"reviews\.jsonl ends before the last line"):
        reviews.merge(run)
    run.path("reviews.jsonl").write_bytes(b"".join([lines[0].replace(b"kept", b"dropped"), *lines[1:]]))
    with pytest.raises(NegRefineError, match=r"reviews\.jsonl is damaged in line 1"):
        reviews.by_person(run)


def test_the_command_takes_files_shows_agreement_merges_and_override_settles(tmp_path: Path) -> None:
    run, runner = make_run(tmp_path), CliRunner()
    run.note_judge("wordnet")

    def said_by(*arguments: str) -> str:
        result = runner.invoke(app, ["reviews", "--name", str(run.folder), *arguments], catch_exceptions=True)
        return result.output + str(result.exception or "")

    assert "Nobody has reviewed this run blind yet" in said_by()
    assert "nobody has reviewed this run blind; merging takes two" in said_by("--merge")
    for who, own in (("Ada", ADA), ("Ben", BEN)):
        rows = [f"{label},{to},{reason}" for label, (to, reason) in own.items()]
        (tmp_path / f"{who}.csv").write_text(
            "\n".join(["negative,decision,reason", *rows, "paris,kept,"]), encoding="utf-8"
        )
        if who == "Ben":
            assert "only Ada has reviewed this run blind" in said_by("--merge")
        said_now = said_by("--who", who, "--import", str(tmp_path / f"{who}.csv"))
        assert "4 decisions noted" in said_now
        assert "the first: 'paris'" in said_now
    (tmp_path / "others.csv").write_text("negative,decision,who\noslo,kept,Ben\n", encoding="utf-8")
    assert "Ada reviews for themselves" in said_by("--who", "Ada", "--import", str(tmp_path / "others.csv"))
    assert "was decided by Ben" in said_by("--who", "Ada", "--undo", "st x")
    shown = said_by()
    assert "2 agreed labels to merge; 1 to settle" in shown
    assert "66.7" in shown
    assert "0.40" in shown
    assert "cloth" in shown
    assert "2 decisions merged, 1 still to be settled" in said_by("--merge", "--yes")
    assert "0 decisions merged" in said_by("--merge")
    settled = runner.invoke(app, ["override", "--name", str(run.folder), "velvet", "--to", "kept", "--who", "Cy"])
    assert "1 overrides made" in settled.output
    assert "0 agreed labels to merge; 0 to settle" in said_by()
    assert [o.who for o in run.overrides] == ["Ada, Ben", "Ada, Ben", "Cy"]
