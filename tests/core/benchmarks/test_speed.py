"""The benchmark's plain loop, which does what the published code does, gives the detector's scores."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from negrefine_core import paths
from negrefine_core.benchmarks import speed as bench
from negrefine_core.benchmarks import speed_host, speed_many
from negrefine_core.cache import CachedEncoder
from negrefine_core.detector import NegRefineDetector
from negrefine_core.embedding import embed_images
from negrefine_core.encoder import load_encoder
from negrefine_core.image_sets import ImageSet, open_image_set, read_image
from negrefine_core.judges.openai import IN_FLIGHT


def test_the_fast_scores_equal_the_plain_loops_on_the_bundled_model_and_pictures(tmp_path: Path) -> None:
    encoder = load_encoder("demo", device="cpu")
    whole = open_image_set(paths.IMAGES / "food")
    image_set = ImageSet("few", whole.root, whole.paths[:6])
    images: list[Image.Image] = [read_image(image_set.root / path) for path in image_set.paths]
    ids = ["cat", "dog", "owl", "lion", "fox", "horse", "whale"]
    negatives = ["".join(letters) + " fruit" for letters in itertools.product("abcde", repeat=3)]
    cached = CachedEncoder(encoder, tmp_path)
    detector = NegRefineDetector(cached, ids, negatives, ["sweet object", "red scene"])
    table = pd.concat(detector.score_features(chunk.features) for chunk in embed_images(cached, image_set))
    for image, row in zip(images, table.itertuples(), strict=True):
        neglabel, multi_matching = bench.plain_scores(encoder, image, detector)
        np.testing.assert_allclose([row.neglabel, row.multi_matching], [neglabel, multi_matching], atol=1e-5)


def test_a_ratio_says_how_many_times_as_long_the_plain_way_takes() -> None:
    assert bench.Measurement("x", 10, "images", seconds=2.0, plain=6.0).ratio == 3
    assert bench.Measurement("x", 10, "images", seconds=2.0).ratio is None


@pytest.mark.slow
def test_every_measurement_is_made_and_the_judges_beside_one_question_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[tuple[int, int]] = []

    def judging_seconds(url: str, labels: int, in_flight: int) -> float:
        judged.append((labels, in_flight))
        return really_judging_seconds(url, labels, in_flight)

    really_judging_seconds = bench.speed_judge.judging_seconds
    monkeypatch.setattr(bench.speed_judge, "judging_seconds", judging_seconds)
    monkeypatch.setattr(bench, "RESCORED", 200)
    monkeypatch.setattr(bench, "IN_MEMORY", 500)
    monkeypatch.setattr(bench, "LEXICON_SAMPLE", 16)
    monkeypatch.setattr(bench, "TOKEN_PAIRS", 500)
    monkeypatch.setattr(bench.speed_judge, "LABELS", 200)
    monkeypatch.setattr(bench.speed_judge, "LABELS_ONE_BY_ONE", 5)
    rows = {row.name: row for row in bench.measure("demo", None, "cpu", n_images=4, n_plain=1)}
    assert [name for name, row in rows.items() if row.ratio] == [
        "image encoding alone",
        "scoring, cold",
        "scoring, pairs known",
        "scoring, all known",
        "token rows of pairs",
        "embedding the lexicon, cold",
        "judging",
    ]
    assert judged == [(5, 1), (200, IN_FLIGHT)]
    assert "peak memory" in rows["scoring known features"].note
    assert all(row.seconds > 0 for row in rows.values())


def test_the_host_is_measured_stage_by_stage_and_together_beside_decoding_alone() -> None:
    stages = list(speed_host.measure("demo", None, images=3))
    assert [stage.name for stage in stages[:2]] == ["decoding and preprocessing", "hashing"]
    assert all(stage.rate > 0 and stage.rate_per_core > 0 for stage in stages)
    assert "x decoding alone" in stages[-1].note


def test_what_many_images_take_is_measured_with_the_memory_of_each_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_many, "alone", lambda work, count: work(count))  # not in processes of their own
    monkeypatch.setattr(speed_many, "PAPER", 40)
    monkeypatch.setattr(speed_many, "NEGATIVES", speed_many.NEGATIVES[:300])
    rows = list(speed_many.measure(images=90))
    assert [(row.name, row.count) for row in rows[:3]] == [
        ("scoring known features into a run", 90),
        ("a decision's effect", 40),
        ("a decision's effect", 90),
    ]
    assert sum("peak memory" in row.note for row in rows) == 4
    assert all(row.seconds > 0 for row in rows)
