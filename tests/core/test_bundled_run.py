"""The shipped run is what the method makes of the shipped model and pictures, and it is as good as the README says."""

from pathlib import Path

import numpy as np
import pytest

from negrefine_core import pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import load_encoder
from negrefine_core.run_files.bundled import unpack_bundled_run
from negrefine_core.runs import Run
from tests.support.project import ROOT

FAR = ("food", "objects", "plants", "vehicles")
NEAR = "other_animals"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("shipped")
    unpack_bundled_run(runs)
    return Run.open("demo", runs)


@pytest.fixture(scope="module")
def fresh(cold_data: Path) -> Run:
    return Run.open("demo", cold_data / "runs")


@pytest.mark.slow
def test_a_fresh_run_mines_the_shipped_negatives(shipped: Run, fresh: Run) -> None:
    for name in ("initial_negatives", "neglabel_negatives", "negatives"):
        old, new = ({n.label for n in getattr(run, name)} for run in (shipped, fresh))
        assert len(old ^ new) <= 0.001 * len(old), name  # another processor may turn a tie at the 15% mark


@pytest.mark.slow
def test_a_fresh_run_gives_the_shipped_scores(shipped: Run, fresh: Run) -> None:
    assert shipped.scored_sets == fresh.scored_sets
    for name in shipped.scored_sets:
        old, new = shipped.scores(name), fresh.scores(name)
        assert list(old["path"]) == list(new["path"])
        for column in ("multi_matching", "mcm"):
            np.testing.assert_allclose(old[column], new[column], atol=1e-4)
        for column in ("negrefine", "neglabel", "csp", "neglabel_baseline"):  # equally similar negatives may change
            difference = np.abs(old[column] - new[column])  # places, and so groups, on another processor
            assert difference.max() < 0.05
            assert difference.mean() < 0.005


@pytest.mark.slow
def test_the_shipped_negatives_give_the_shipped_scores(shipped: Run, fresh: Run) -> None:
    encoder = CachedEncoder(load_encoder("demo", device="cpu"), fresh.folder.parent.parent / "cache" / "features")
    detector = pipeline.detector(shipped, encoder)
    for name in shipped.scored_sets:
        old = shipped.scores(name)
        new = detector.score_features(pipeline.image_features(shipped, encoder, old.assign(image_set=name)))
        for column in ("negrefine", "neglabel", "multi_matching", "mcm"):
            np.testing.assert_allclose(old[column], new[column], atol=1e-4)
        tops = [set(a) == set(b) for a, b in zip(old["negative_labels"], new["negative_labels"], strict=True)]
        assert np.mean(tops) > 0.99


def test_negrefine_separates_each_far_set_and_the_near_one_and_beats_mcm(shipped: Run) -> None:
    methods = shipped.metrics["methods"]
    assert all(methods["NegRefine"][name]["auroc"] >= 0.95 for name in FAR)
    assert methods["NegRefine"][NEAR]["auroc"] >= 0.75
    for mcm in ("MCM", "MCM (T = 0.01)"):
        assert methods["NegRefine"]["average"]["auroc_interval"][0] > methods[mcm]["average"]["auroc_interval"][1]


def test_the_readmes_table_is_the_shipped_runs(shipped: Run) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for rows in shipped.metrics["methods"].values():
        for row in rows.values():
            low, high = row["auroc_interval"]
            assert f"{100 * row['auroc']:.1f} ({100 * low:.0f}–{100 * high:.0f}) / {100 * row['fpr95']:.0f}" in readme


def test_at_least_a_hundred_id_pictures_and_eight_megabytes(shipped: Run) -> None:
    assert len(shipped.scores("animals")) >= 100
    pictures = list((ROOT / "data" / "images").rglob("*.png"))
    assert sum(path.stat().st_size for path in pictures) < 8e6
    assert (ROOT / "data" / "models" / "demo" / "open_clip_model.safetensors").stat().st_size < 20e6
