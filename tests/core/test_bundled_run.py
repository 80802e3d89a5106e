"""The shipped runs are what the method makes of the shipped model and pictures, and what the paper's code decided."""

from pathlib import Path

import numpy as np
import pytest

from negrefine_core import pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.comparison import metric_differences
from negrefine_core.encoder import load_encoder
from negrefine_core.errors import NegRefineError
from negrefine_core.judges.doubts import doubts_of, work_out
from negrefine_core.lexicon import WordNet, candidates
from negrefine_core.metrics import ood_metrics
from negrefine_core.overrides import final_negatives
from negrefine_core.paths import IMAGES
from negrefine_core.reference import import_reference
from negrefine_core.run_files.bundled import (
    BUNDLED_RUN,
    BUNDLED_RUNS,
    PUBLISHED_RUN,
    STORY_RUN,
    pack,
    unpack,
    unpack_bundled_run,
)
from negrefine_core.runs import Run, class_list_hash
from negrefine_core.show import scored
from tests.support.project import ROOT

FAR = ("food", "objects", "plants", "vehicles")
NEAR = "other_animals"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("shipped")
    unpack_bundled_run(BUNDLED_RUN, runs)
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


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.open(STORY_RUN, tmp_path_factory.mktemp("story"))


def test_in_the_story_the_filter_is_worth_two_points_of_auroc_beyond_chance(story: Run) -> None:
    auroc = metric_differences(scored(story), "csp", "neglabel")[-2]
    assert (auroc.ood_set, auroc.metric) == ("average", "auroc")
    assert auroc.second - auroc.first >= 0.02
    assert auroc.low > 0
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first, second, low, high = (100 * value for value in (auroc.first, auroc.second, auroc.low, auroc.high))
    assert f"{first:.1f} to {second:.1f} (+{second - first:.1f}, 95% interval {low:.1f} to {high:.1f})" in readme


def test_the_storys_negatives_follow_from_all_words_of_its_files_and_the_judges_verdicts(story: Run) -> None:
    settings = story.settings
    words = candidates(
        story.id_labels,
        noun_files=settings.noun_files,
        adjective_files=settings.adjective_files,
        word_filter=settings.word_filter,
    )
    assert (story.id_labels, settings.fraction, settings.judge) == (["food", "drink"], 1.0, "wordnet")
    assert {negative.label for negative in story.initial_negatives} == {*words.nouns}
    assert story.negatives == final_negatives(story)
    assert {verdict.judge for verdict in story.verdicts} == {"wordnet"}


def test_the_storys_scores_follow_from_its_negatives_and_its_figures_from_its_scores(story: Run) -> None:
    table, encoder = scored(story), CachedEncoder(load_encoder("demo", device="cpu"))
    for name in story.scored_sets:
        info = story.scores_info(name)
        assert info is not None
        assert info.fingerprint == encoder.fingerprint
        assert info.scored_with is not None
        assert info.scored_with.negatives == class_list_hash(negative.label for negative in story.negatives)
        assert story.image_root(name) == IMAGES / name
    np.testing.assert_allclose(table["negrefine"], table["neglabel"] + 2 * table["multi_matching"], atol=1e-5)
    few = table.groupby("image_set").sample(2, random_state=0)
    pictures = pipeline.image_features(story, encoder, few)  # (B, D)
    for labels, similarities in (("id_labels", "id_sims"), ("negative_labels", "negative_sims")):
        for i, picture in enumerate(pictures):
            row = few.iloc[i]
            fresh = 100 * encoder.encode_labels(list(row[labels]), pipeline.noun_templates(story)) @ picture  # (K,)
            np.testing.assert_allclose(row[similarities], fresh, atol=1e-3)
    inside = table[table["is_id"]]
    for method in (("CSP", "csp"), ("NegRefine", "negrefine")):
        for name in story.ood_sets:
            found = ood_metrics(inside[method[1]], table.loc[table["image_set"] == name, method[1]])
            written = story.metrics["methods"][method[0]][name]
            assert (written["auroc"], written["fpr95"]) == pytest.approx((found.auroc, found.fpr95))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("published")
    return Run.open(PUBLISHED_RUN, runs)


@pytest.mark.slow
def test_the_published_run_is_an_import_of_what_the_papers_code_wrote(
    published: Run, golden: Path, tmp_path: Path
) -> None:
    fresh = import_reference(golden / "imagenet-seed0", PUBLISHED_RUN, runs=tmp_path)
    assert (published.verdicts, published.rejections) == (fresh.verdicts, fresh.rejections)
    assert [n.label for n in published.negatives] == [n.label for n in fresh.negatives]
    assert published.info.published == fresh.info.published
    assert (len(published.id_labels), len(published.verdicts), len(published.negatives)) == (1000, 73_037, 6370)


@pytest.mark.slow
def test_the_doubts_that_come_with_the_published_run_are_a_fresh_computations(
    published: Run, wordnet: WordNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = work_out(published, wordnet)
    monkeypatch.setattr("negrefine_core.judges.doubts.work_out", None)
    assert doubts_of(published, wordnet) == fresh


def test_the_published_run_is_under_a_megabyte_with_licence_and_origin_beside_it() -> None:
    folder = ROOT / "data" / "published"
    assert all((ROOT / "data" / BUNDLED_RUNS[name].archive).stat().st_size < 1e6 for name in (STORY_RUN, PUBLISHED_RUN))
    assert "Copyright (c) 2025 ah-ansari" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "ah-ansari/NegRefine" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_is_packed_is_unpacked_byte_by_byte_with_its_times(shipped: Run, tmp_path: Path) -> None:
    pack(shipped.folder, tmp_path / "run.zip")
    unpack(tmp_path / "run.zip", tmp_path / "again")
    files = [path for path in shipped.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert files
    for file in files:
        again = tmp_path / "again" / file.relative_to(shipped.folder)
        assert again.read_bytes() == file.read_bytes()
        assert abs(again.stat().st_mtime - file.stat().st_mtime) <= 2  # a zip archive's seconds are even
    assert (tmp_path / "run.zip").stat().st_size <= (ROOT / "data" / BUNDLED_RUNS[BUNDLED_RUN].archive).stat().st_size


def test_a_damaged_archive_leaves_no_run_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = tmp_path / BUNDLED_RUNS[PUBLISHED_RUN].archive
    archive.parent.mkdir()
    content = bytearray((ROOT / "data" / BUNDLED_RUNS[PUBLISHED_RUN].archive).read_bytes())
    content[len(content) // 2] ^= 255
    archive.write_bytes(content)
    monkeypatch.setattr("negrefine_core.run_files.bundled.BUNDLED", tmp_path)
    with pytest.raises(NegRefineError, match=r"cannot be unpacked .* install the project again"):
        unpack_bundled_run(PUBLISHED_RUN, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []
