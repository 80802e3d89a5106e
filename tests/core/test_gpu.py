"""What a graphics card computes is what the CPU does: in half precision, from the same permutation, on any card.

These run where CUDA is, and are skipped elsewhere.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from negrefine_core.cache import CachedEncoder
from negrefine_core.detector import NegRefineDetector
from negrefine_core.embedding import embed_images
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.image_sets import open_image_set
from negrefine_core.labels import NOUN_TEMPLATES
from negrefine_core.metrics import ood_metrics
from tests.support.pictures import write_pictures

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card with CUDA is here")

IDS = ["red fox", "dog", "cat", "cow", "ant", "hen"]
NEGATIVES = [f"thing {i}" for i in range(150)]


@pytest.fixture(scope="module")
def on_gpu(tiny_model: str) -> OpenClipEncoder:
    return OpenClipEncoder(tiny_model, device="cuda")


def test_half_precision_features_are_those_of_float32(encoder: OpenClipEncoder, on_gpu: OpenClipEncoder) -> None:
    assert (on_gpu.precision, on_gpu.fingerprint != encoder.fingerprint) == ("fp16", True)
    labels = [f"{label} and {negative}" for label in IDS for negative in NEGATIVES]  # several trees
    expected = encoder.encode_labels(labels, NOUN_TEMPLATES)
    found = on_gpu.encode_labels(labels, NOUN_TEMPLATES)
    assert (found.dtype, found.device.type) == (torch.float32, "cpu")
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)


def test_the_trees_features_are_open_clips_own_in_half_precision(on_gpu: OpenClipEncoder) -> None:
    texts = ["dog", "the good dog and red fox", "a photo with the nice dog and cat", "dog " * 40]
    raw = torch.nn.functional.normalize(on_gpu.full_context_features(texts).float().cpu(), dim=1)
    torch.testing.assert_close(on_gpu.encode_texts(texts), raw, atol=1e-2, rtol=0)


def test_scores_and_metrics_are_those_of_the_cpu(
    encoder: OpenClipEncoder, on_gpu: OpenClipEncoder, tmp_path: Path
) -> None:
    image_set = open_image_set(write_pictures(tmp_path / "set", 80))
    tables, permutations = [], []
    for model in (encoder, on_gpu):
        cached = CachedEncoder(model, tmp_path / "features")
        detector = NegRefineDetector(cached, IDS, NEGATIVES)
        (chunk,) = embed_images(cached, image_set)
        tables.append(detector.score_features(chunk.features))
        permutations.append(detector.permutation)
    assert permutations[0].equal(permutations[1])
    on_cpu, there = (table["negrefine"].to_numpy() for table in tables)
    np.testing.assert_allclose(there, on_cpu, atol=5e-2)  # logits are 100 x cosine
    for figure in ("auroc", "fpr95", "aupr_in", "aupr_out"):
        found, expected = (getattr(ood_metrics(scores[:40], scores[40:]), figure) for scores in (there, on_cpu))
        assert found == pytest.approx(expected, abs=1e-3), figure


def test_the_detector_on_the_card_gives_the_published_scores(golden: Path) -> None:
    from tests.core.test_detector import GoldenEncoder

    figures = json.loads((golden / "scoring.json").read_text(encoding="utf-8"))
    encoder = GoldenEncoder(figures)
    encoder.device = "cuda"
    ids, negatives = (sorted((n for n in encoder.features if n[0] == kind), key=lambda n: int(n[1:])) for kind in "pn")
    table = NegRefineDetector(encoder, ids, negatives).score_features(torch.tensor(figures["image_features"]))
    for name in ("neglabel", "multi_matching", "negrefine"):
        assert table[name].to_numpy() == pytest.approx(np.array(figures[f"expected_{name}"]), abs=1e-5), name


def test_a_full_card_halves_the_batch(on_gpu: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.randint(256, (64, 32, 32, 3), dtype=torch.uint8)
    expected, plain = on_gpu.encode_pixels(pixels), OpenClipEncoder._pixel_features

    def hungry(self: OpenClipEncoder, batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > 16:
            torch.empty(1 << 50, device=self.device, dtype=torch.uint8)  # a petabyte
        return plain(self, batch)

    monkeypatch.setattr(OpenClipEncoder, "_pixel_features", hungry)
    torch.testing.assert_close(on_gpu.encode_pixels(pixels), expected, atol=1e-2, rtol=0)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two graphics cards are here")
def test_a_second_card_gives_the_same_features(tiny_model: str, on_gpu: OpenClipEncoder) -> None:
    second = OpenClipEncoder(tiny_model, device="cuda:1")
    assert second.fingerprint == on_gpu.fingerprint
    labels = [f"{label} and {negative}" for label in IDS for negative in NEGATIVES[:20]]
    torch.testing.assert_close(
        second.encode_labels(labels, NOUN_TEMPLATES), on_gpu.encode_labels(labels, NOUN_TEMPLATES), atol=1e-2, rtol=0
    )
