"""Two sides compared: differences, their paired intervals, flips and label differences against naive counts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from negrefine_core import comparison, overrides
from negrefine_core.comparison import BROKEN, FIXED, STILL_RIGHT, STILL_WRONG
from negrefine_core.metrics import ood_metrics
from negrefine_core.records import Negative, Verdict
from negrefine_core.runs import Run, Settings


def images(n: int = 60, shift: float = 0.0) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    sets = ["cats"] * n + ["near"] * n + ["far"] * (n // 2)
    table = pd.DataFrame({"image_set": sets, "is_id": [name == "cats" for name in sets]})
    table["a"] = generator.normal(0, 1, len(sets)) + table["is_id"]
    return table.assign(b=table["a"] + shift * table["is_id"])


@pytest.mark.parametrize("convention", ["id-positive", "ood-positive", "pytorch-ood"])
def test_differences_are_those_of_the_metrics_set_by_set_and_on_average(convention: str) -> None:
    table = images(shift=0.7)
    found = {(d.ood_set, d.metric): d for d in comparison.metric_differences(table, "a", "b", 50, convention)}
    assert [name for name, _ in found][::2] == ["far", "near", "average"]
    for metric in ("auroc", "fpr95"):
        for side in ("a", "b"):
            each = []
            for name in ("far", "near"):
                ids, oods = table[table["is_id"]][side], table[table["image_set"] == name][side]
                each.append(getattr(ood_metrics(ids, oods, convention), metric))
                assert getattr(found[name, metric], {"a": "first", "b": "second"}[side]) == each[-1]
            assert getattr(found["average", metric], {"a": "first", "b": "second"}[side]) == pytest.approx(
                np.mean(each)
            )


def test_a_shift_of_all_id_images_is_a_clear_difference_and_none_is_none() -> None:
    better = comparison.metric_differences(images(shift=0.7), "a", "b", 100)
    assert all(d.is_clear for d in better if d.metric == "auroc")
    assert all(d.low <= d.second - d.first <= d.high for d in better)
    same = comparison.metric_differences(images(), "a", "b", 100)
    assert not any(d.is_clear or d.low or d.high for d in same)


def test_the_interval_is_paired_so_that_it_is_narrower_than_that_of_independent_samples() -> None:
    table = images(200, shift=0.1)
    paired = comparison.metric_differences(table, "a", "b", 200)[0]
    shuffled = table.groupby("image_set")["b"].transform(lambda x: x.sample(frac=1, random_state=2).to_numpy())
    unpaired = table.assign(b=shuffled)
    alone = comparison.metric_differences(unpaired, "a", "b", 200)[0]
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_an_image_is_fixed_broken_still_wrong_or_still_right() -> None:
    first, second = np.array([False, True, False, True]), np.array([True, False, False, True])
    assert comparison.flips(first, second).tolist() == [FIXED, BROKEN, STILL_WRONG, STILL_RIGHT]


def verdict(negative: str, kind: str, id_label: str | None, answer: str) -> Verdict:
    return Verdict(negative, kind, id_label, 0.5, f"{negative} {kind} {id_label}?", answer, answer, "wordnet", "", 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create("small", Settings(), ["Dog", "cat"], tmp_path)
    labels = ["paris", "poodle", "rust", "o'clock", "mud"]
    run.write_initial_negatives([Negative(label, "noun", 0.1) for label in labels])
    run.write_neglabel_negatives([Negative(label, "noun", 0.1) for label in ["rust", "dog", "sky"]])
    with run.verdict_log() as log:
        log.append(verdict("paris", "proper noun", None, "yes"))
        log.append(verdict("poodle", "proper noun", None, "no"))
        log.append(verdict("poodle", "subcategory", "Dog", "yes"))
    run.write_negatives(overrides.final_negatives(run))
    return run


def as_rows(table: pd.DataFrame) -> set[tuple[object, ...]]:
    return {tuple(row) for row in table.drop(columns="pos").itertuples(index=False)}


def test_the_label_diff_names_the_verdict_that_rejected_each_label(run: Run) -> None:
    assert as_rows(comparison.label_diff((run, "csp"), (run, "negrefine"))) == {
        ("paris", "removed", "proper noun", "", True),
        ("poodle", "removed", "subcategory", "Dog", True),
        ("o'clock", "removed", "cleaned", "", False),
        ("oclock", "added", "cleaned", "", False),
    }
    assert as_rows(comparison.label_diff((run, "negrefine"), (run, "neglabel_baseline"))) == {
        *((label, "removed", "not mined", "", False) for label in ("oclock", "mud")),
        ("dog", "added", "ID class", "dog", False),
        ("sky", "added", "not mined", "", False),
    }
    assert comparison.label_diff((run, "negrefine"), (run, "neglabel")).empty
    assert len(comparison.label_diff((run, "mcm"), (run, "negrefine"))) == len(run.negatives)


def test_overrides_alone_stand_between_before_and_after_them(run: Run) -> None:
    overrides.override(run, ["paris"], overrides.KEPT, "me")
    overrides.override(run, ["mud"], overrides.DROPPED, "me")
    overrides.confirm(run, ["poodle"], "me")
    assert as_rows(comparison.label_diff((run, "negrefine_judged"), (run, "negrefine"))) == {
        ("paris", "added", "proper noun; restored by a person", "", True),
        ("mud", "removed", "dropped by a person", "", True),
    }
