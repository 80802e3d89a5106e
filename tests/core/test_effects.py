"""The effect of one verdict equals naive rescoring with the same groups."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from negrefine_core import scoring
from negrefine_core.cache import CachedEncoder
from negrefine_core.detector import DetectorConfig, NegRefineDetector
from negrefine_core.effects import Effects
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import ADJECTIVE_TEMPLATES, NOUN_TEMPLATES
from negrefine_core.mining import Negative
from tests.support.words import Words

IDS = ["red fox", "oak", "ship", "violin", "bridge", "teapot", "owl"]
NOUNS = [f"{a} {b}" for a in ("stone", "cloud", "river", "paper") for b in ("wheel", "song", "field", "glass", "moon")]
ADJECTIVES = ["gooey landscape", "rutted creature", "moody structure"]
CLOSE = 5e-5  # the detector and the naive loop, in float32: logits near 100 are right to 1e-5 or so
EXACT = 1e-6  # effects, beside float64
NEW = [Negative("velvet hammer", "noun", 0.1), Negative("spiral object", "adjective", 0.1)]


def detector(cached: CachedEncoder, n_groups: int = 4, nouns: list[str] = NOUNS) -> NegRefineDetector:
    return NegRefineDetector(cached, IDS, nouns, ADJECTIVES, DetectorConfig(n_groups=n_groups))


def images(scorer: NegRefineDetector, n: int = 40) -> Tensor:
    """Features near the labels' own, so that every label is some image's nearest."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.cat([scorer.id_features, scorer.negative_features])
    noisy = labels[torch.randint(len(labels), (n,), generator=generator)]
    noisy = noisy + 0.02 * torch.randn(n, labels.shape[1], generator=generator)
    return torch.nn.functional.normalize(noisy, dim=1)


def naive(scorer: NegRefineDetector, features: Tensor, groups: list[list[str]], negatives: list[Negative]) -> Tensor:
    """NegRefine scores, image by image and group by group, from the labels' names."""
    encoder = scorer.encoder
    templates = {"noun": NOUN_TEMPLATES, "adjective": ADJECTIVE_TEMPLATES}
    vector = {n.label: encoder.encode_labels([n.label], templates[n.pos])[0] for n in negatives}
    names = [f"{name} and {n.label}" for name in IDS for n in negatives]
    pairs = dict(zip(names, encoder.encode_labels(names, NOUN_TEMPLATES), strict=True))
    scores = []
    for image in features:
        pos = 100 * scorer.id_features @ image
        sims = {label: float(100 * vector[label] @ image) for label in vector}
        parts = []
        for group in groups:
            both = torch.cat([pos, torch.tensor([sims[label] for label in group])])
            parts.append(torch.softmax(both, 0)[: len(pos)].sum())
        top_ids = [IDS[i] for i in pos.topk(5).indices]
        top_negatives = sorted(sims, key=lambda label: -sims[label])[:5]
        best = 0.0
        for name in top_ids:
            for label in top_negatives:
                pair = float(100 * pairs[f"{name} and {label}"] @ image)
                best = max(best, float(torch.sigmoid(torch.tensor(pair - sims[label]))))
        scores.append(torch.stack(parts).mean() + 2 * best)
    return torch.stack(scores)


def parts_of(scorer: NegRefineDetector, n_groups: int) -> tuple[list[list[str]], list[Negative]]:
    groups = [[scorer.negatives[i] for i in row] for row in scorer.permutation.view(n_groups, -1).tolist()]
    negatives = [Negative(x, "adjective" if x in ADJECTIVES else "noun", 0.1) for x in scorer.negatives]
    return groups, negatives


def test_the_scores_before_are_the_detectors(cached: CachedEncoder) -> None:
    scorer = detector(cached)
    features = images(scorer)
    expected = torch.tensor(scorer.score_features(features)["negrefine"].to_numpy())
    torch.testing.assert_close(Effects(scorer, features).before, expected, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("n_groups", [4, 1])
def test_dropping_a_label_equals_rescoring_without_it_in_its_group(cached: CachedEncoder, n_groups: int) -> None:
    scorer = detector(cached, n_groups)  # 23 negatives: 4 groups of 5, and 3 in no group
    features = images(scorer)
    effects = Effects(scorer, features)
    groups, negatives = parts_of(scorer, n_groups)
    for label in (groups[0][0], scorer.negatives[-1], scorer.negatives[0]):
        expected = naive(scorer, features, [[x for x in group if x != label] for group in groups],
                         [n for n in negatives if n.label != label])  # fmt: skip
        effect = effects.drop(label)
        torch.testing.assert_close(effect.after, expected, atol=CLOSE, rtol=0)
        assert effect.attracted.any()
        assert not effect.after[effect.attracted].equal(effect.before[effect.attracted])


@pytest.mark.parametrize("n_groups", [4, 1])
@pytest.mark.parametrize("new", NEW)
def test_restoring_a_label_equals_the_mean_of_rescoring_with_it_in_each_group(
    cached: CachedEncoder, n_groups: int, new: Negative
) -> None:
    scorer = detector(cached, n_groups)
    features = images(scorer)
    groups, negatives = parts_of(scorer, n_groups)
    each = [
        naive(
            scorer, features, [[*g, new.label] if i == joined else g for i, g in enumerate(groups)], [*negatives, new]
        )
        for joined in range(n_groups)
    ]
    effect = Effects(scorer, features).restore(new)
    torch.testing.assert_close(effect.after, torch.stack(each).mean(0), atol=CLOSE, rtol=0)


def test_few_negatives_are_paired_all_and_the_last_one_cannot_be_dropped(cached: CachedEncoder) -> None:
    scorer = NegRefineDetector(cached, IDS, NOUNS[:3], [], DetectorConfig(n_groups=4))
    features = images(scorer, 12)
    groups, negatives = [list(NOUNS[:3])], [Negative(x, "noun", 0.1) for x in NOUNS[:3]]
    effects = Effects(scorer, features)
    expected = naive(scorer, features, [groups[0][1:]], negatives[1:])
    torch.testing.assert_close(effects.drop(NOUNS[0]).after, expected, atol=CLOSE, rtol=0)
    expected = naive(scorer, features, [[*groups[0], NEW[0].label]], [*negatives, NEW[0]])
    torch.testing.assert_close(effects.restore(NEW[0]).after, expected, atol=CLOSE, rtol=0)
    alone = Effects(NegRefineDetector(cached, IDS, NOUNS[:1], []), features)
    with pytest.raises(NegRefineError, match="last negative"):
        alone.drop(NOUNS[0])


def test_the_ranking_counts_the_images_that_each_label_would_attract(cached: CachedEncoder) -> None:
    scorer = detector(cached, nouns=NOUNS[:12])
    features = images(detector(cached), 60)
    effects = Effects(scorer, features)
    rejected = [Negative(x, "noun", 0.1) for x in NOUNS[12:]] + [NEW[1]]
    threshold = float(effects.before.median())
    table = effects.ranking(rejected, threshold).set_index("label")
    assert list(table["attracted"]) == sorted(table["attracted"], reverse=True)
    for negative in rejected:
        effect = effects.restore(negative)
        assert table.loc[negative.label, "attracted"] == int(effect.attracted.sum())
        sim = scoring.similarity(features, effects._label_features([negative]))[:, 0]
        nearest = scoring.similarity(features, scorer.negative_features).amax(1)
        assert table.loc[negative.label, "nearest"] == int((sim > nearest).sum())
        groups = scoring.similarity(features, scorer.negative_features)[:, scorer.permutation.view(4, -1)].logsumexp(2)
        positive = scoring.similarity(features, scorer.id_features).logsumexp(1, keepdim=True)
        alone = torch.sigmoid(positive - torch.logaddexp(groups, sim[:, None]))
        base = torch.sigmoid(positive - groups)
        after = effects.before + (alone - base).mean(1) / effects.n_groups
        assert table.loc[negative.label, "flips"] == int(((effects.before >= threshold) & (after < threshold)).sum())


def test_flips_are_the_decisions_that_change_at_the_threshold(cached: CachedEncoder) -> None:
    scorer = detector(cached)
    effect = Effects(scorer, images(scorer)).drop(scorer.negatives[0])
    threshold = float(effect.before.median())
    expected = [
        (a >= threshold) != (b >= threshold) for a, b in zip(effect.before.tolist(), effect.after.tolist(), strict=True)
    ]
    assert effect.flips(threshold).tolist() == expected


def test_a_label_that_is_there_or_is_not_is_explained(cached: CachedEncoder) -> None:
    scorer = detector(cached)
    effects = Effects(scorer, images(scorer, 4))
    with pytest.raises(NegRefineError, match="cannot be dropped"):
        effects.drop("paris")
    with pytest.raises(NegRefineError, match="already"):
        effects.restore(Negative(NOUNS[0], "noun", 0.1))


MORE = [
    Negative(f"{a} {b}", "noun", 0.1) for a in ("velvet", "iron", "amber") for b in ("hammer", "lamp", "coast", "fern")
]


@pytest.mark.parametrize("n_groups", [4, 1])
def test_restoring_sets_equals_rescoring_with_their_labels_dealt_out_averaged_over_the_groups_turns(
    cached: CachedEncoder, n_groups: int
) -> None:
    scorer = detector(cached, n_groups)
    features = images(scorer)
    effects = Effects(scorer, features)
    groups, negatives = parts_of(scorer, n_groups)
    sets = {"twelve": MORE, "two": NEW, "one": NEW[:1], "none": []}
    found = effects.restore_all(sets)
    assert list(found) == list(sets)
    for name, new in sets.items():
        turned = []
        for turn in range(n_groups):
            dealt = [list(group) for group in groups]
            for place, negative in enumerate(new):
                dealt[(place + turn) % n_groups].append(negative.label)
            turned.append(naive(scorer, features, dealt, [*negatives, *new]))
        torch.testing.assert_close(found[name].after, torch.stack(turned).mean(0), atol=CLOSE, rtol=0)
        assert found[name].before.equal(effects.before)
    assert not found["none"].attracted.any()
    assert (found["twelve"].after - effects.before).abs().max() > 0.01


def test_a_set_of_one_label_has_that_labels_effect(cached: CachedEncoder) -> None:
    for nouns in (NOUNS, ["cloud", "song"]):  # of the last, fewer than the top five
        scorer = NegRefineDetector(cached, IDS, nouns, [], DetectorConfig(n_groups=2))
        effects = Effects(scorer, images(scorer))
        for negative in [*NEW, *MORE[:4]]:
            one, whole = effects.restore(negative), effects.restore_all({"x": [negative]})["x"]
            torch.testing.assert_close(one.after, whole.after, atol=CLOSE, rtol=0)
            assert one.attracted.equal(whole.attracted)


def test_a_set_with_a_label_that_is_kept_is_refused(cached: CachedEncoder) -> None:
    scorer = detector(cached)
    with pytest.raises(NegRefineError, match="'stone wheel' is among the negatives already"):
        Effects(scorer, images(scorer, 3)).restore_all({"x": [Negative("stone wheel", "noun", 0.1)]})
    assert Effects(scorer, images(scorer, 3)).restore_all({}) == {}


def nouns(first: int, after: int) -> list[Negative]:
    return [Negative(f"noun {i}", "noun", 0.1) for i in range(first, after)]


def scored_anew(effects: Effects, negatives: Sequence[Negative]) -> Tensor:
    """The scores with these negatives in the groups that they have there, from all similarities, in float64."""
    scorer, words, features = effects.detector, effects.detector.encoder, effects.features.double()
    positive = scoring.similarity(features, scorer.id_features.double())
    labels = [negative.label for negative in negatives]
    sim = scoring.similarity(features, words.encode_texts(labels).double())
    groups = torch.tensor([effects.group(label) for label in labels])
    shares = [
        torch.cat([positive, sim[:, groups == g]], 1).softmax(1)[:, : positive.shape[1]].sum(1)
        for g in range(effects.n_groups)
    ]
    top_pos, top = scoring.top_labels(positive)[1], scoring.top_labels(sim)[1]
    best = []
    for image, row_pos, row, logits in zip(features, top_pos.tolist(), top.tolist(), sim, strict=True):
        pairs = words.encode_texts([f"{scorer.id_labels[p]} and {labels[n]}" for p in row_pos for n in row]).double()
        pair_sim = scoring.similarity(image.unsqueeze(0), pairs).view(1, len(row_pos), len(row))
        best.append(scoring.multi_matching_score(pair_sim, logits[row].unsqueeze(0)))
    return torch.stack(shares).mean(0) + 2 * torch.cat(best)


def test_after_any_decisions_the_scores_are_those_of_scoring_anew_with_the_same_groups() -> None:
    scorer = NegRefineDetector(
        Words(), [f"class {i}" for i in range(20)], [n.label for n in nouns(0, 430)], config=DetectorConfig(n_groups=20)
    )
    features = torch.nn.functional.normalize(
        torch.cat([scorer.id_features, Words().encode_texts([f"noun {i}" for i in range(0, 470, 5)])])
        + 0.5 * Words().encode_texts([f"image {i}" for i in range(114)]), dim=1,
    )  # fmt: skip
    judged = Effects(scorer, features)
    now = judged
    attractive = [judged._labels[i] for i in judged._tops.label[3].tolist()]  # more of one image than are in reserve
    steps = [
        nouns(0, 431),  # one restored
        nouns(1, 431),  # one dropped
        [n for n in nouns(1, 431) if n.label not in attractive],
        nouns(0, 431),  # taken back
        nouns(0, 470)[7:],  # many at once
        nouns(0, 430),
    ]
    for negatives in steps:
        now = now.with_negatives(negatives)
        torch.testing.assert_close(now.before.double(), scored_anew(now, negatives), atol=EXACT, rtol=0)
        fresh = judged.with_negatives(negatives)  # whatever came before
        assert [fresh.group(n.label) for n in negatives] == [now.group(n.label) for n in negatives]
        torch.testing.assert_close(now.before, fresh.before, atol=EXACT, rtol=0)
    torch.testing.assert_close(now.before, judged.before, atol=EXACT, rtol=0)
    assert (now.with_negatives(steps[4]).before - judged.before).abs().max() > 1e-3
    dropped = now.drop("noun 17")
    without = [n for n in nouns(0, 430) if n.label != "noun 17"]
    torch.testing.assert_close(dropped.after, now.with_negatives(without).before, atol=EXACT, rtol=0)
    with pytest.raises(NegRefineError, match="keep or restore at least one"):
        now.with_negatives([])


def test_sets_of_more_labels_than_terms_of_the_series_equal_the_mean_over_the_groups_as_it_stands() -> None:
    scorer = NegRefineDetector(
        Words(), ["class 1", "class 2"], [n.label for n in nouns(0, 60)], config=DetectorConfig(n_groups=6)
    )
    effects = Effects(scorer, Words().encode_texts([f"noun {i}" for i in range(40, 90)]))
    new = torch.exp(4 * torch.randn(50, 30, generator=torch.Generator().manual_seed(0)))  # from tiny to huge
    odds = torch.stack(effects._odds, 1)  # (B, G)
    plain = torch.stack([(1 / (1 + odds + x[:, None]) - 1 / (1 + odds)).mean(1) for x in new.unbind(1)], 1) / 6
    torch.testing.assert_close(effects._change(slice(0, 50), new), plain, atol=3e-7, rtol=0)
