"""The scores against the published code's figures, and against loops in its shape."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from negrefine_core import scoring
from negrefine_core.errors import NegRefineError
from tests.support.loops import loop_multi_matching, loop_neglabel


@pytest.fixture(scope="module")
def figures(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "scoring.json").read_text(encoding="utf-8"))


def features(n: int, seed: int, dim: int = 16) -> Tensor:
    return normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def multi_matching(images: Tensor, ids: Tensor, negatives: Tensor) -> Tensor:
    _, top_pos = scoring.top_labels(scoring.similarity(images, ids))
    neg_sim, top_neg = scoring.top_labels(scoring.similarity(images, negatives))
    pairs = normalize(ids[top_pos].unsqueeze(2) + negatives[top_neg].unsqueeze(1), dim=-1)  # (B, K, M, D)
    return scoring.multi_matching_score(100 * torch.einsum("bkmd,bd->bkm", pairs, images), neg_sim)


def test_the_scores_are_the_published_codes(figures: dict[str, Any]) -> None:
    images, ids, negatives = (torch.tensor(figures[f"{what}_features"]) for what in ("image", "positive", "negative"))
    neglabel = scoring.neglabel_score(
        scoring.similarity(images, ids), scoring.similarity(images, negatives),
        figures["n_groups"], torch.tensor(figures["permutation"]),
    )  # fmt: skip
    matching = multi_matching(images, ids, negatives)
    torch.testing.assert_close(neglabel, torch.tensor(figures["expected_neglabel"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(matching, torch.tensor(figures["expected_multi_matching"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        scoring.negrefine_score(neglabel, matching), torch.tensor(figures["expected_negrefine"]), atol=1e-5, rtol=0
    )


def test_the_default_permutation_is_the_published_one(figures: dict[str, Any]) -> None:
    assert scoring.group_permutation(len(figures["negative_features"])).tolist() == figures["permutation"]


@pytest.mark.parametrize("n_negatives", [1, 3, 99, 100, 101, 199, 200, 637])
@pytest.mark.parametrize("n_ids", [1, 4, 20])
def test_neglabel_equals_a_loop_over_images_and_groups(n_negatives: int, n_ids: int) -> None:
    pos, neg = 100 * features(3, 1) @ features(n_ids, 2).T, 100 * features(3, 1) @ features(n_negatives, 3).T
    permutation = scoring.group_permutation(n_negatives)
    expected = [loop_neglabel(p, n, 100, permutation) for p, n in zip(pos, neg, strict=True)]
    torch.testing.assert_close(scoring.neglabel_score(pos, neg), torch.tensor(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("n_ids", "n_negatives"), [(1, 1), (1, 9), (4, 3), (9, 1), (20, 30)])
def test_multi_matching_equals_a_loop_over_pairs_even_with_few_labels(n_ids: int, n_negatives: int) -> None:
    images, ids, negatives = features(4, 1), features(n_ids, 2), features(n_negatives, 3)
    expected = [loop_multi_matching(image, ids, negatives) for image in images]
    torch.testing.assert_close(multi_matching(images, ids, negatives), torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_fewer_negatives_than_groups_are_one_group_with_them_all() -> None:
    pos, neg = 100 * features(5, 1) @ features(3, 2).T, 100 * features(5, 1) @ features(42, 3).T
    plain = torch.softmax(torch.cat([pos, neg], 1), 1)[:, :3].sum(1)
    torch.testing.assert_close(scoring.neglabel_score(pos, neg), plain)


def test_the_last_negatives_that_fill_no_group_change_nothing() -> None:
    pos, neg = torch.zeros(1, 2), torch.zeros(1, 637)
    neg[:, 600:] = 1000.0
    assert float(scoring.neglabel_score(pos, neg)) == pytest.approx(2 / 8)


def test_the_permutation_is_fixed_by_its_seed_and_holds_each_grouped_negative_once() -> None:
    first = scoring.group_permutation(637)
    torch.manual_seed(5)
    assert first.equal(scoring.group_permutation(637))
    assert sorted(first.tolist()) == list(range(600))
    assert not first.equal(scoring.group_permutation(637, seed=1))
    assert sorted(scoring.group_permutation(99).tolist()) == list(range(99))
    assert sorted(scoring.group_permutation(637, n_groups=10).tolist()) == list(range(630))


def test_no_negatives_cannot_be_scored_with() -> None:
    with pytest.raises(NegRefineError, match="keep or restore at least one"):
        scoring.group_permutation(0)


def test_scores_stay_in_their_ranges_for_extreme_similarities() -> None:
    for scale in (1.0, 100.0, 1e4):
        pos, neg = scale * torch.randn(20, 3), scale * torch.randn(20, 205)
        neglabel = scoring.neglabel_score(pos, neg)
        matching = scoring.multi_matching_score(scale * torch.randn(20, 3, 5), neg[:, :5])
        score = scoring.negrefine_score(neglabel, matching)
        assert score.isfinite().all()
        assert float(neglabel.min()) >= 0
        assert float(neglabel.max()) <= 1
        assert float(score.min()) >= 0
        assert float(score.max()) <= 3


def test_negrefine_is_neglabel_plus_twice_multi_matching() -> None:
    assert float(scoring.negrefine_score(torch.tensor([0.25]), torch.tensor([0.5]))) == 1.25
    assert float(scoring.negrefine_score(torch.tensor([0.25]), torch.tensor([0.5]), alpha=0)) == 0.25


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_mcm_is_the_largest_softmax_of_cosine_over_temperature(temperature: float) -> None:
    images, ids = features(4, 1), features(7, 2)
    expected = []
    for image in images:
        exponentials = [math.exp(float(image @ label) / temperature) for label in ids]
        expected.append(max(exponentials) / sum(exponentials))
    found = scoring.mcm_score(scoring.similarity(images, ids), temperature)
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=1e-4)


def test_one_id_label_has_an_mcm_of_one() -> None:
    assert scoring.mcm_score(100 * features(3, 1) @ features(1, 2).T).tolist() == [1, 1, 1]


def test_max_logit_and_energy_equal_loops_over_the_id_labels() -> None:
    pos = 100 * torch.rand(7, 5, generator=torch.Generator().manual_seed(0))
    max_logit, energy = scoring.max_logit_score(pos), scoring.energy_score(pos)
    for image, logits in enumerate(pos.double().tolist()):
        highest = logits[0]
        for logit in logits[1:]:
            highest = logit if logit > highest else highest
        assert float(max_logit[image]) == pytest.approx(highest, abs=1e-4)
        assert float(energy[image]) == pytest.approx(math.log(sum(math.exp(logit) for logit in logits)), abs=1e-4)


def test_top_labels_come_best_first_and_no_more_than_there_are() -> None:
    values, indices = scoring.top_labels(torch.tensor([[1.0, 3.0, 2.0]]))
    assert (values.tolist(), indices.tolist()) == ([[3, 2, 1]], [[1, 2, 0]])
    assert scoring.top_labels(torch.randn(2, 9))[0].shape == (2, 5)


def test_scoring_moves_no_input() -> None:
    pos, neg = torch.randn(3, 4), torch.randn(3, 250)
    before = pos.clone(), neg.clone()
    scoring.neglabel_score(pos, neg)
    scoring.mcm_score(pos)
    assert pos.equal(before[0])
    assert neg.equal(before[1])


@pytest.mark.parametrize("n_negatives", [1, 250])
def test_no_images_have_no_scores(n_negatives: int) -> None:
    assert scoring.neglabel_score(torch.empty(0, 3), torch.empty(0, n_negatives)).shape == (0,)
    assert scoring.multi_matching_score(torch.empty(0, 3, 5), torch.empty(0, 5)).shape == (0,)
    for score in (scoring.mcm_score, scoring.max_logit_score, scoring.energy_score):
        assert score(torch.empty(0, 3)).shape == (0,)
