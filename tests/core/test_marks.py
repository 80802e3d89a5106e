"""Marks on unsorted pictures: kept one a line, of the very picture that was seen, until they give metrics."""

import multiprocessing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from negrefine_core import marks
from negrefine_core.errors import NegRefineError
from negrefine_core.metrics import ood_metrics
from negrefine_core.runs import Run, Settings
from tests.support.pictures import picture, write_pictures


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with 20 unsorted pictures; the first ten are horses."""
    run = Run.create("r", Settings(), ["horse", "owl"], tmp_path / "runs")
    root = write_pictures(tmp_path / "photos", 20)
    scores = pd.DataFrame(
        {
            "path": [f"{i:03d}.png" for i in range(20)],
            "negrefine": np.linspace(3, 0, 20).astype("float32"),
            "id_labels": [["horse" if i % 2 else "owl", "horse"] for i in range(20)],
        }
    )
    run.write_scores("photos", root, scores)
    return run


def said(run: Run) -> dict[str, tuple[bool, str]]:
    return {path: (entry.is_id, entry.id_label) for path, entry in marks.marked(run, "photos").items()}


def test_the_last_mark_of_a_picture_counts_and_the_same_again_writes_nothing(run: Run) -> None:
    marks.mark(run, "photos", "000.png", True, "ann", "horse")
    assert marks.mark(run, "photos", "000.png", True, "ann", "horse") is None
    marks.mark(run, "photos", "000.png", False, "bob")
    assert said(run) == {"000.png": (False, "")}
    assert [entry.number for entry in run.marks] == [0, 1]


def test_taking_back_brings_the_mark_before(run: Run) -> None:
    marks.mark(run, "photos", "000.png", True, "ann", "horse")
    marks.mark(run, "photos", "001.png", False, "ann")
    marks.mark(run, "photos", "000.png", True, "ann")
    for left in ({"000.png": (True, "horse"), "001.png": (False, "")}, {"000.png": (True, "horse")}, {}):
        assert marks.unmark(run, "photos", "ann")
        assert said(run) == left
    assert marks.unmark(run, "photos", "ann") is None
    assert len(run.marks) == 6


def test_a_mark_says_which_class_it_is_or_which_it_is_not_and_lines_of_before_say_neither(run: Run) -> None:
    marks.mark(run, "photos", "001.png", True, "ann", not_label="horse")  # which is its first class
    marks.mark(run, "photos", "003.png", True, "ann")
    marks.mark(run, "photos", "005.png", True, "ann", "horse")
    known = marks.marked(run, "photos")
    named = marks.right_class(marks.with_truth(run.scores("photos"), known), known)
    assert (named.count, named.total) == (1, 2)
    lines = run.path("marks.jsonl").read_text().splitlines()
    assert ["not_label" in line for line in lines] == [True, False, False]
    with pytest.raises(NegRefineError, match="no ID class"):
        marks.mark(run, "photos", "007.png", False, "ann", not_label="horse")


def test_a_mark_does_not_count_for_another_picture_under_the_same_name(run: Run) -> None:
    marks.mark(run, "photos", "000.png", True, "ann", "horse")
    file = run.image_root("photos") / "000.png"
    picture(99).save(file)
    assert said(run) == {}
    file.unlink()  # its score is still of the picture that was marked, as far as anyone can tell
    assert said(run) == {"000.png": (True, "horse")}


@pytest.mark.parametrize(
    ("path", "is_id", "label", "message"),
    [
        ("nothing.png", True, "", "no scored picture"),
        ("../000.png", True, "", "no scored picture"),
        ("000.png", True, "cat", "no ID class"),
        ("000.png", False, "horse", "no ID class"),
    ],
)
def test_what_cannot_be_marked_is_refused(run: Run, path: str, is_id: bool, label: str, message: str) -> None:
    with pytest.raises(NegRefineError, match=message):
        marks.mark(run, "photos", path, is_id, "ann", label)
    assert run.marks == []


def test_metrics_come_with_five_marks_of_each_kind_and_are_those_of_the_marked_pictures(run: Run) -> None:
    for i in range(9):
        marks.mark(run, "photos", f"{2 * i:03d}.png", i < 5, "ann", "owl" if i < 5 else "")
    assert not marks.is_enough(marks.marked(run, "photos").values())
    marks.mark(run, "photos", "001.png", False, "ann")
    found = marks.marked(run, "photos")
    assert marks.is_enough(found.values())
    truth = marks.with_truth(run.scores("photos"), found)
    row = marks.measured(truth, "negrefine")
    scores = run.scores("photos").set_index("path")["negrefine"]
    inside = [scores[f"{2 * i:03d}.png"] for i in range(5)]
    outside = [scores[f"{2 * i:03d}.png"] for i in range(5, 9)] + [scores["001.png"]]
    assert row.auroc == ood_metrics(inside, outside).auroc
    bounds = marks.auroc_bounds(truth, row.auroc)
    assert bounds.low < row.auroc < bounds.high
    named = marks.right_class(truth, found)  # the first class of those with an even number is the owl
    assert (named.count, named.total) == (5, 5)
    assert (marks.right(truth, "negrefine", 1.6).count, marks.right(truth, "negrefine", 1.6).total) == (9, 10)


def test_a_share_has_wilsons_interval() -> None:
    bounds = marks.Share(9, 10).interval
    assert (bounds.low, bounds.high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))


def test_a_cut_or_changed_log_is_named(run: Run) -> None:
    for i in range(3):
        marks.mark(run, "photos", f"{i:03d}.png", True, "ann")
    log = run.path("marks.jsonl")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]))
    with pytest.raises(NegRefineError, match="lost"):
        marks.marked(run, "photos")
    log.write_bytes(b"".join([lines[0], lines[1].replace(b"true", b"false"), lines[2]]))
    with pytest.raises(NegRefineError, match="line 2"):
        marks.marked(run, "photos")


def _mark_ten(folder: Path, first: int) -> None:
    for i in range(first, first + 10):
        marks.mark(Run(folder), "photos", f"{i:03d}.png", True, "ann")


def test_marks_of_two_at_once_are_all_kept(run: Run) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_mark_ten, args=(run.folder, first)) for first in (0, 10)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    assert len(said(run)) == 20
    assert [entry.number for entry in run.marks] == list(range(20))
