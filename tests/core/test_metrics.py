"""Metrics against the published code's figures and against naive counting."""

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_ood.metrics import OODMetrics as TheirMetrics

from negrefine_core.errors import NegRefineError
from negrefine_core.metrics import (
    AVERAGE,
    Convention,
    auroc_interval,
    bootstrap_draws,
    evaluate,
    fpr_at_recall,
    interval,
    ood_metrics,
)

generator = np.random.default_rng(7)
TIED = [
    (generator.integers(-4, 9, size=n).astype(float), generator.integers(-6, 6, size=m).astype(float))
    for n, m in ((1, 1), (1, 9), (9, 1), (2, 3), (19, 7), (20, 20), (21, 13), (40, 30), (200, 333))
    for _ in range(12)
]
SMOOTH = [(generator.normal(1, 1, n), generator.normal(0, 1, m)) for n, m in ((1, 1), (7, 5), (40, 30), (333, 200))]


def naive_auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    return float(np.mean([(i > o) + (i == o) / 2 for i in inside for o in outside]))


def naive_average_precision(positive: np.ndarray, negative: np.ndarray) -> float:
    total, last = 0.0, 0.0
    for threshold in sorted({*positive, *negative}, reverse=True):
        hits, false = (positive >= threshold).sum(), (negative >= threshold).sum()
        total += (hits / len(positive) - last) * hits / (hits + false)
        last = hits / len(positive)
    return total


def naive_fpr95(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    best = None
    for threshold in sorted({*positive, *negative}, reverse=True):
        distance = abs((positive >= threshold).sum() / len(positive) - 0.95)
        reached = (positive >= threshold).any() and threshold >= positive.min()
        if reached and (best is None or distance <= best[0]):  # a lower threshold with the same recall takes over
            best = (distance, float((negative >= threshold).mean()), float(threshold))
    assert best
    return best[1:]


def test_the_metrics_are_the_published_codes(golden: Path) -> None:
    sets = json.loads((golden / "metrics.json").read_text(encoding="utf-8"))
    assert len(sets) == 5
    for scores in sets:
        found = ood_metrics(scores["id_scores"], scores["ood_scores"])
        for name in ("auroc", "aupr_in", "aupr_out", "fpr95"):
            assert getattr(found, name) == pytest.approx(scores[name], abs=1e-9), name


@pytest.mark.parametrize(("inside", "outside"), TIED + SMOOTH)
def test_the_metrics_equal_naive_counting_with_ties_and_in_tiny_sets(inside: np.ndarray, outside: np.ndarray) -> None:
    found = ood_metrics(inside, outside)
    assert found.auroc == pytest.approx(naive_auroc(inside, outside), abs=1e-9)
    assert found.aupr_in == pytest.approx(naive_average_precision(inside, outside), abs=1e-9)
    assert found.aupr_out == pytest.approx(naive_average_precision(-outside, -inside), abs=1e-9)
    assert (found.fpr95, found.threshold95) == pytest.approx(naive_fpr95(inside, outside), abs=1e-12)


@pytest.mark.parametrize(("inside", "outside"), TIED + SMOOTH)
def test_the_other_convention_takes_ood_as_positive(inside: np.ndarray, outside: np.ndarray) -> None:
    ours, theirs = ood_metrics(inside, outside), ood_metrics(inside, outside, "ood-positive")
    assert (theirs.auroc, theirs.aupr_in, theirs.aupr_out) == (ours.auroc, ours.aupr_in, ours.aupr_out)
    fpr, threshold = naive_fpr95(-outside, -inside)
    assert (theirs.fpr95, theirs.threshold95) == pytest.approx((fpr, -threshold))


def test_the_two_conventions_give_different_numbers_on_skewed_scores() -> None:
    inside, outside = [0.0] * 10 + [9.0] * 90, [1.0] * 100
    assert ood_metrics(inside, outside).fpr95 == 1.0
    assert ood_metrics(inside, outside, "ood-positive").fpr95 == 0.1


@pytest.mark.parametrize(
    ("inside", "outside"), [*TIED, *SMOOTH, (generator.normal(1, 1, 1000), generator.normal(0, 1, 1000))]
)
def test_pytorch_oods_convention_gives_its_figures_drawn_samples_included(
    inside: np.ndarray, outside: np.ndarray
) -> None:
    found = ood_metrics(inside, outside, "pytorch-ood")
    theirs = pytorch_ood_figures(inside, outside)
    for name, value in {"AUROC": found.auroc, "AUPR-IN": found.aupr_in, "AUPR-OUT": found.aupr_out}.items():
        assert value == pytest.approx(theirs[name], abs=1e-9), name
    assert found.fpr95 == theirs["FPR95TPR"]
    assert (inside <= found.threshold95).mean() == found.fpr95
    draws = bootstrap_draws(inside, outside, n=3, convention="pytorch-ood")
    of_ids, of_oods = np.random.default_rng([0, 0]), np.random.default_rng([0, 1])
    for draw in range(3):
        ids = inside[of_ids.integers(len(inside), size=len(inside))]
        oods = outside[of_oods.integers(len(outside), size=len(outside))]
        assert draws["fpr95"][draw] == pytorch_ood_figures(ids, oods)["FPR95TPR"]


def pytorch_ood_figures(inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    scores = torch.tensor(-np.concatenate([inside, outside]))
    measured = TheirMetrics().update(scores, torch.tensor([0] * len(inside) + [-1] * len(outside)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant scores
        return measured.compute()


def test_the_first_recall_of_at_least_95_percent_is_another_number_than_the_nearest() -> None:
    inside, outside = [19.0, 30.0], np.arange(1.0, 20.0)  # 18 of 19 are 94.7%
    assert ood_metrics(inside, outside, "ood-positive").fpr95 == 0.0
    assert ood_metrics(inside, outside, "pytorch-ood").fpr95 == 0.5


def test_the_threshold_flags_what_the_fpr_counts() -> None:
    for inside, outside in TIED:
        found = ood_metrics(inside, outside)
        assert (outside >= found.threshold95).mean() == found.fpr95


@pytest.mark.parametrize(
    ("inside", "outside", "auroc", "fpr"),
    [([2, 3], [0, 1], 1, 0), ([0, 1], [2, 3], 0, 1), ([1, 1], [1, 1], 0.5, 1), ([5], [4], 1, 0)],
)
def test_perfect_reversed_and_constant_scores(inside: list, outside: list, auroc: float, fpr: float) -> None:
    found = ood_metrics(inside, outside)
    assert (found.auroc, found.fpr95) == (auroc, fpr)


@pytest.mark.parametrize("convention", get_args(Convention))
@pytest.mark.parametrize(
    ("inside", "outside", "which"),
    [([], [1], "ID"), ([1], [], "OOD"), ([np.nan], [1], "ID"), ([1], [1, np.inf], "OOD")],
)
def test_empty_or_infinite_scores_say_which_set(
    inside: list, outside: list, which: str, convention: Convention
) -> None:
    with pytest.raises(NegRefineError, match=f"metrics need {which} scores that are finite"):
        ood_metrics(inside, outside, convention)


def test_another_recall_can_be_asked_for() -> None:
    fpr, threshold = fpr_at_recall(np.arange(100), np.arange(50) - 25, recall=0.8)
    assert (fpr, threshold) == (0.1, 20)


def test_the_bootstrap_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    inside, outside = SMOOTH[2]
    first = bootstrap_draws(inside, outside, n=50)
    for name, values in bootstrap_draws(inside, outside, n=50).items():
        assert values.tolist() == first[name].tolist()
    assert bootstrap_draws(inside, outside, n=50, seed=1)["auroc"].tolist() != first["auroc"].tolist()
    assert bootstrap_draws(inside, outside, n=50, stream=1)["auroc"].tolist() != first["auroc"].tolist()


@pytest.mark.parametrize("convention", get_args(Convention))
@pytest.mark.parametrize(("inside", "outside"), TIED[::5] + SMOOTH)
def test_each_bootstrap_draw_has_the_metrics_of_its_resample(
    inside: np.ndarray, outside: np.ndarray, convention: Convention
) -> None:
    draws = bootstrap_draws(inside, outside, n=20, seed=3, stream=2, convention=convention)
    of_ids, of_oods = np.random.default_rng([3, 0]), np.random.default_rng([3, 3])
    for draw in range(20):
        metrics = ood_metrics(
            inside[of_ids.integers(len(inside), size=len(inside))],
            outside[of_oods.integers(len(outside), size=len(outside))],
            convention,
        )
        assert draws["auroc"][draw] == pytest.approx(metrics.auroc, abs=1e-12)
        assert draws["fpr95"][draw] == pytest.approx(metrics.fpr95, abs=1e-12)


def test_two_methods_on_the_same_images_are_resampled_alike() -> None:
    inside, outside = SMOOTH[2]
    better = bootstrap_draws(inside + 10, outside, n=30)["auroc"]
    scaled = bootstrap_draws(2 * inside, 2 * outside, n=30)["auroc"]
    assert (better == 1).all()
    np.testing.assert_allclose(scaled, bootstrap_draws(inside, outside, n=30)["auroc"])


def test_intervals_hold_the_figure_and_narrow_with_more_images() -> None:
    few, many = (interval(bootstrap_draws(*_normals(n), n=200)["auroc"]) for n in (30, 1000))
    truth = 0.760  # of two unit normals one apart
    assert few.low < truth < few.high
    assert many.low < truth < many.high
    assert many.high - many.low < 0.3 * (few.high - few.low)


def _normals(n: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.normal(1, 1, n), random.normal(0, 1, n)


def test_evaluate_gives_each_scores_metrics_on_each_set_and_their_average() -> None:
    generator = np.random.default_rng(5)
    sets = {"in": 30, "near": 20, "far": 12}
    parts = [
        pd.DataFrame({"image_set": name, "a": generator.integers(0, 9, n), "b": generator.random(n)})
        for name, n in sets.items()
    ]
    table = pd.concat(part.assign(is_id=part["image_set"] == "in") for part in parts)
    for convention in get_args(Convention):
        found = {(row.column, row.ood_set): row for row in evaluate(table, ["a", "b"], convention, n_bootstrap=40)}
        assert list(found) == [(score, name) for score in "ab" for name in ("near", "far", AVERAGE)]
        for score in "ab":
            values = {name: table.loc[table["image_set"] == name, score].to_numpy() for name in sets}
            for stream, name in enumerate(("near", "far")):
                row, expected = found[score, name], ood_metrics(values["in"], values[name], convention)
                assert all(getattr(row, key) == value for key, value in asdict(expected).items())
                draws = bootstrap_draws(values["in"], values[name], 40, stream=stream, convention=convention)
                assert all(np.array_equal(row.draws[key], draws[key]) for key in ("auroc", "fpr95"))
            near, far, average = (found[score, name] for name in ("near", "far", AVERAGE))
            for key in ("auroc", "aupr_in", "aupr_out", "fpr95"):
                assert getattr(average, key) == (getattr(near, key) + getattr(far, key)) / 2
            assert average.threshold95 is None
            low, high = average.intervals["fpr95_interval"]
            expected = np.percentile((near.draws["fpr95"] + far.draws["fpr95"]) / 2, [2.5, 97.5])
            assert [low, high] == pytest.approx(expected)


def test_evaluate_needs_images_of_both_kinds_and_a_convention_that_there_is() -> None:
    table = pd.DataFrame({"image_set": ["a", "b"], "is_id": [True, False], "s": [1.0, 0.0]})
    for part in (table[table["is_id"]], table[~table["is_id"]]):
        with pytest.raises(NegRefineError, match="score at least one set of each"):
            evaluate(part, ["s"])
    for measure in (
        lambda name: evaluate(table, ["s"], name),
        lambda name: ood_metrics([1.0], [0.0], name),
        lambda name: bootstrap_draws([1.0], [0.0], convention=name),
    ):
        with pytest.raises(NegRefineError, match="no convention 'auroc' of the metrics; there are id-pos"):
            measure("auroc")
    assert not evaluate(table, ["s"])[0].draws


def test_the_interval_of_an_auroc_of_few_images_is_no_point_where_nothing_overlaps() -> None:
    def spread(value: float, n: int, m: int) -> float:
        """Hanley and McNeil's standard error with both counts replaced by their mean."""
        first, second, count = value / (2 - value), 2 * value**2 / (1 + value), (n + m) / 2 - 1
        return float(np.sqrt((value * (1 - value) + count * (first + second - 2 * value**2)) / (n * m)))

    for auroc, n, m in ((1.0, 5, 5), (0.9, 5, 12), (0.3, 40, 7), (0.0, 6, 6)):
        values = np.linspace(1e-6, 1 - 1e-6, 100_000)
        near = [value for value in values if abs(value - auroc) <= 1.96 * spread(value, n, m)]
        bounds = auroc_interval(auroc, n, m)
        assert (bounds.low, bounds.high) == (pytest.approx(min(near), abs=1e-4), pytest.approx(max(near), abs=1e-4))
