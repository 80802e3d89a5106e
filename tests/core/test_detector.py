"""The detector: a row an image, equal to a loop over images with the published algorithm's shape."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from negrefine_core import detector as module
from negrefine_core import scoring
from negrefine_core.cache import CachedEncoder
from negrefine_core.detector import DetectorConfig, NegRefineDetector, Without
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import ADJECTIVE_TEMPLATES, NOUN_TEMPLATES
from tests.support.loops import loop_neglabel
from tests.support.pictures import picture, write_pictures

IDS = ["red fox", "dog", "cat", "cow", "ant", "hen"]
NOUNS = [f"thing {i}" for i in range(150)]
ADJECTIVES = [f"big{i} place" for i in range(55)]


@pytest.fixture(scope="module")
def images() -> list:
    return [picture(i) for i in range(5)]


def loop(
    encoder: OpenClipEncoder,
    image: Tensor,
    ids: list[str],
    nouns: list[str],
    adjectives: list[str],
    id_features: Tensor,
    negative_features: Tensor,
    k: int = 5,
) -> dict:
    """One image: the published steps, one pair at a time."""
    negatives = nouns + adjectives
    pos, neg = 100 * id_features @ image, 100 * negative_features @ image
    best = (-1.0, "", "")
    for i in pos.argsort(descending=True)[:k].tolist():
        for j in neg.argsort(descending=True)[:k].tolist():
            pair = encoder.encode_labels([f"{ids[i]} and {negatives[j]}"], NOUN_TEMPLATES)[0]
            best = max(best, (float(torch.sigmoid(100 * pair @ image - neg[j])), ids[i], negatives[j]))
    neglabel = loop_neglabel(pos, neg, 100, scoring.group_permutation(len(neg)))
    return {
        "neglabel": neglabel, "multi_matching": best[0], "negrefine": neglabel + 2 * best[0],
        "mcm": float(torch.softmax(pos / 100, 0).max()), "mcm_scaled": float(torch.softmax(pos, 0).max()),
        "pair_id": best[1], "pair_negative": best[2],
        "id_labels": [ids[i] for i in pos.argsort(descending=True)[:k].tolist()],
        "negative_labels": [negatives[j] for j in neg.argsort(descending=True)[:k].tolist()],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("n_ids", "n_nouns", "n_adjectives"), [(6, 150, 55), (6, 150, 0), (6, 0, 55), (1, 1, 0), (3, 2, 1), (6, 40, 10)]
)
def test_every_score_equals_a_loop_over_images(
    encoder: OpenClipEncoder, images: list, n_ids: int, n_nouns: int, n_adjectives: int
) -> None:
    ids, nouns, adjectives = IDS[:n_ids], NOUNS[:n_nouns], ADJECTIVES[:n_adjectives]
    table = NegRefineDetector(encoder, ids, nouns, adjectives).score(images)
    assert len(table) == len(images)
    id_features = encoder.encode_labels(ids, NOUN_TEMPLATES)
    negative_features = torch.cat(
        [encoder.encode_labels(nouns, NOUN_TEMPLATES), encoder.encode_labels(adjectives, ADJECTIVE_TEMPLATES)]
    )
    for (_, row), image in zip(table.iterrows(), encoder.encode_images(images), strict=True):
        expected = loop(encoder, image, ids, nouns, adjectives, id_features, negative_features)
        for name in ("neglabel", "multi_matching", "negrefine", "mcm", "mcm_scaled"):
            assert row[name] == pytest.approx(expected[name], abs=2e-4), name
        for name in ("pair_id", "pair_negative", "id_labels", "negative_labels"):
            assert row[name] == expected[name], name
        assert row["id_sims"] == pytest.approx(np.sort(row["id_sims"])[::-1])
        pair = encoder.encode_labels([f"{row['pair_id']} and {row['pair_negative']}"], NOUN_TEMPLATES)[0]
        assert row["pair_sim"] == pytest.approx(float(100 * pair @ image), abs=1e-3)


def test_labels_left_out_weigh_nothing_as_in_a_detector_that_never_had_them(encoder: OpenClipEncoder) -> None:
    pictures, gone = [picture(i) for i in range(5)], {"thing 3", "thing 7", "big1 place"}
    nouns, adjectives = NOUNS[:30], ADJECTIVES[:12]  # fewer than 100: one group
    whole = NegRefineDetector(encoder, IDS, nouns, adjectives)
    features = encoder.encode_images(pictures)
    without = Without(frozenset({"cat"}), frozenset(gone))
    rest = NegRefineDetector(
        encoder, [x for x in IDS if x != "cat"], [x for x in nouns if x not in gone],
        [x for x in adjectives if x not in gone],
    )  # fmt: skip
    got, expected = whole.score_features(features, without=without), rest.score_features(features)
    for name in expected:
        if name in ("id_labels", "negative_labels", "pair_id", "pair_negative"):
            assert got[name].tolist() == expected[name].tolist(), name
        else:
            np.testing.assert_allclose(np.vstack(got[name]), np.vstack(expected[name]), atol=2e-5)
    assert whole.score_features(features, without=Without()).equals(whole.score_features(features))


def test_a_negative_left_out_leaves_its_group_and_the_others_keep_theirs(encoder: OpenClipEncoder) -> None:
    scorer = NegRefineDetector(encoder, IDS, NOUNS, [], DetectorConfig(n_groups=10))
    image = encoder.encode_images([picture(1)])
    off = set(scorer.score_features(image)["negative_labels"][0][:3])
    got = scorer.score_features(image, without=Without(negatives=frozenset(off))).iloc[0]
    pos, neg = 100 * scorer.id_features @ image[0], 100 * scorer.negative_features @ image[0]
    groups = scorer.permutation.view(10, -1).tolist()
    shares = []
    for group in groups:
        left = torch.stack([neg[i] for i in group if NOUNS[i] not in off])
        shares.append(float(torch.softmax(torch.cat([pos, left]), 0)[: len(pos)].sum()))
    assert got["neglabel"] == pytest.approx(np.mean(shares), abs=1e-5)
    assert not off & set(got["negative_labels"])
    assert len(got["negative_labels"]) == 5


def test_one_label_of_each_kind_must_be_left(encoder: OpenClipEncoder) -> None:
    scorer, image = NegRefineDetector(encoder, IDS[:2], NOUNS[:3]), encoder.encode_images([picture(0)])
    two_left = scorer.score_features(image, without=Without(negatives=frozenset(NOUNS[:2]))).iloc[0]
    assert two_left["negative_labels"] == [NOUNS[2]]
    assert np.isfinite(two_left["negrefine"])
    for without in (Without(id_labels=frozenset(IDS)), Without(negatives=frozenset(NOUNS))):
        with pytest.raises(NegRefineError, match="leave at least one"):
            scorer.score_features(image, without=without)


class GoldenEncoder:
    """The golden figures' features as an encoder; a pair is the normalised sum of its labels, as they say."""

    name, fingerprint = "golden", "golden"

    def __init__(self, figures: dict) -> None:
        self.features = {f"p{i}": torch.tensor(row) for i, row in enumerate(figures["positive_features"])}
        self.features |= {f"n{i}": torch.tensor(row) for i, row in enumerate(figures["negative_features"])}
        self.dim = len(self.features["p0"])

    def encode_labels(self, labels: Sequence[str], templates: Sequence[str], progress: object = None) -> Tensor:
        rows = [normalize(sum(self.features[part] for part in label.split(" and ")), dim=0) for label in labels]
        return torch.stack(rows) if rows else torch.empty(0, self.dim)

    encode_texts = encode_images = None


def test_the_detector_gives_the_published_scores(golden: Path) -> None:
    figures = json.loads((golden / "scoring.json").read_text(encoding="utf-8"))
    encoder = GoldenEncoder(figures)
    ids, negatives = (sorted((n for n in encoder.features if n[0] == kind), key=lambda n: int(n[1:])) for kind in "pn")
    scorer = NegRefineDetector(encoder, ids, negatives)
    assert scorer.permutation.tolist() == figures["permutation"]
    table = scorer.score_features(torch.tensor(figures["image_features"]))
    for name in ("neglabel", "multi_matching", "negrefine"):
        assert table[name].to_numpy() == pytest.approx(np.array(figures[f"expected_{name}"]), abs=1e-5), name


def test_the_config_reaches_the_scores(encoder: OpenClipEncoder, images: list) -> None:
    plain = NegRefineDetector(encoder, IDS, NOUNS).score(images)
    config = DetectorConfig(alpha=0, top_k=2, n_groups=10, group_seed=4, mcm_temperature=0.01)
    other = NegRefineDetector(encoder, IDS, NOUNS, config=config).score(images)
    assert other["negrefine"].tolist() == other["neglabel"].tolist()
    assert other["mcm"].tolist() == other["mcm_scaled"].tolist() == plain["mcm_scaled"].tolist()
    assert {len(labels) for labels in other["negative_labels"]} == {2}
    assert (other["multi_matching"] <= plain["multi_matching"] + 1e-6).all()
    assert other["neglabel"].tolist() != plain["neglabel"].tolist()


def test_chunks_of_images_change_nothing(
    encoder: OpenClipEncoder, images: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = NegRefineDetector(encoder, IDS, NOUNS).score(images)
    monkeypatch.setattr(module, "SCORE_CHUNK", 2)
    parts = NegRefineDetector(encoder, IDS, NOUNS).score(images)
    assert parts["negrefine"].to_numpy() == pytest.approx(whole["negrefine"].to_numpy(), abs=1e-5)
    assert parts.index.tolist() == [0, 1, 2, 3, 4]


def test_a_cached_encoder_scores_the_same(encoder: OpenClipEncoder, cached: CachedEncoder, images: list) -> None:
    plain, kept = (NegRefineDetector(e, IDS, NOUNS, ADJECTIVES).score(images) for e in (encoder, cached))
    assert kept["negrefine"].to_numpy() == pytest.approx(plain["negrefine"].to_numpy(), abs=1e-5)


def test_paths_and_pictures_score_alike(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 2)
    paths = sorted(folder.glob("*.png"))
    scorer = NegRefineDetector(encoder, IDS, NOUNS)
    table = scorer.score([str(paths[0]), paths[1], picture(0)])
    assert table["path"].tolist() == [str(paths[0]), str(paths[1]), ""]
    assert table["negrefine"][0] == pytest.approx(table["negrefine"][2], abs=1e-6)


def test_no_images_give_an_empty_table_with_the_same_columns(encoder: OpenClipEncoder, images: list) -> None:
    scorer = NegRefineDetector(encoder, IDS, NOUNS)
    empty = scorer.score([])
    assert len(empty) == 0
    assert list(empty.columns) == list(scorer.score(images).columns)


def test_an_unreadable_image_is_named(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(NegRefineError, match=r"cannot read the image .*bad\.png: not a picture"):
        NegRefineDetector(encoder, IDS, NOUNS).score([tmp_path / "bad.png"])


def test_no_id_labels_or_no_negatives_say_what_to_do(encoder: OpenClipEncoder) -> None:
    with pytest.raises(NegRefineError, match="no ID labels; give at least one"):
        NegRefineDetector(encoder, [], NOUNS)
    with pytest.raises(NegRefineError, match=r"no negative labels are left .* keep or restore at least one"):
        NegRefineDetector(encoder, IDS, [])


def test_few_labels_are_said_in_notes(encoder: OpenClipEncoder) -> None:
    assert NegRefineDetector(encoder, IDS, NOUNS).notes == []
    assert NegRefineDetector(encoder, IDS[:4], NOUNS[:3]).notes == [
        "3 negatives, fewer than 100 groups: scored as one group",
        "4 ID labels, fewer than 5: multi-matching pairs all of them",
        "3 negatives, fewer than 5: multi-matching pairs all of them",
    ]
