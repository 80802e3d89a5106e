"""The whole of a run on a tiny model, a reduced lexicon and a few pictures: repeatable, and equal to plain formulas."""

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from negrefine_core import embedding, feature_store, methods, overrides, paths, pipeline, run_maps, scoring
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.engines.ray_data import Weights, _Actor
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set, read_image
from negrefine_core.judge import Question, Reply
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.labels import ADJECTIVE_TEMPLATES, NOUN_TEMPLATES, SKETCH_TEMPLATES
from negrefine_core.methods import Method, measured
from negrefine_core.metrics import ood_metrics
from negrefine_core.mining import Negative
from negrefine_core.negfilter import clean_negatives
from negrefine_core.runs import Run, Settings
from tests.support.loops import loop_neglabel
from tests.support.pictures import write_pictures

IDS = ["dog", "cat", "plant"]
SMALL = Settings(noun_files=("noun.Tops", "noun.motive", "noun.shape"), adjective_files=("adj.ppl",), fraction=0.6)
LABEL_FILES = ("id_labels.txt", "initial_negatives.csv", "neglabel_negatives.csv", "negatives.csv")
SETS = ("pets", "far")


@pytest.fixture(scope="module")
def judge() -> WordNetJudge:
    return WordNetJudge()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder / "pets", 12, classes=("dog", "cat", "plant"))
    write_pictures(folder / "far", 9, first_seed=50)
    (folder / "far" / "broken.png").write_bytes(b"")
    return folder


def whole_run(folder: Path, encoder: OpenClipEncoder, judge: WordNetJudge, pictures: Path) -> Run:
    run = Run.create("small", SMALL, IDS, folder)
    model = CachedEncoder(encoder, folder / "cache")
    pipeline.mine(run, model)
    pipeline.refine(run, model, judge)
    pipeline.score(run, model, [open_image_set(pictures / name) for name in SETS])
    pipeline.evaluate(run, "pets", ["far"], n_bootstrap=50)
    return run


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, encoder: OpenClipEncoder, judge: WordNetJudge, pictures: Path
) -> Run:
    return whole_run(tmp_path_factory.mktemp("finished"), encoder, judge, pictures)


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    shutil.copytree(finished.folder, tmp_path / "small")
    return Run.open(tmp_path / "small")


@pytest.fixture(scope="module")
def model(finished: Run, encoder: OpenClipEncoder) -> CachedEncoder:
    return CachedEncoder(encoder, finished.folder.parent / "cache")


def features(encoder: OpenClipEncoder, negatives: Sequence[Negative], nouns: tuple, adjectives: tuple) -> torch.Tensor:
    """(N, D), each negative on its own."""
    return torch.cat([encoder.encode_labels([n.label], nouns if n.pos == "noun" else adjectives) for n in negatives])


@pytest.mark.slow
def test_two_cold_runs_write_the_same_label_files_and_scores(
    finished: Run, tmp_path: Path, encoder: OpenClipEncoder, judge: WordNetJudge, pictures: Path
) -> None:
    again = whole_run(tmp_path, encoder, judge, pictures)
    for name in (*LABEL_FILES, "run.json", "skipped.csv", "metrics.json"):
        assert again.path(name).read_bytes() == finished.path(name).read_bytes(), name
    for name in SETS:
        assert again.scores(name).equals(finished.scores(name))
    assert [replace(v, time="", latency=0) for v in again.verdicts] == [
        replace(v, time="", latency=0) for v in finished.verdicts
    ]


def test_a_warm_run_changes_no_file(
    finished: Run, copied: Run, judge: WordNetJudge, pictures: Path, model: CachedEncoder
) -> None:
    before = {path: path.read_bytes() for path in copied.folder.rglob("*") if path.is_file()}
    pipeline.mine(copied, model)
    pipeline.refine(copied, model, judge)
    pipeline.score(copied, model, [open_image_set(pictures / name) for name in SETS])
    pipeline.evaluate(copied, "pets", ["far"], n_bootstrap=50)
    assert {path: path.read_bytes() for path in copied.folder.rglob("*") if path.is_file()} == before


def test_the_final_negatives_are_the_cleaned_mined_ones_without_the_rejected(finished: Run) -> None:
    rejected = {verdict.negative for verdict in finished.verdicts if verdict.answer == "yes"}
    assert rejected, "the judge should reject something, or this tests little"
    cleaned = clean_negatives(finished.initial_negatives)
    assert finished.negatives == [negative for negative in cleaned if negative.label not in rejected]
    assert len(finished.initial_negatives) > 100


def test_every_score_column_is_its_plain_formula(finished: Run, encoder: OpenClipEncoder, pictures: Path) -> None:
    plain, nouns = ("the nice {}",), NOUN_TEMPLATES
    ids, plain_ids = encoder.encode_labels(IDS, nouns), encoder.encode_labels(IDS, plain)
    final = features(encoder, finished.negatives, nouns, ADJECTIVE_TEMPLATES)
    csp = features(encoder, finished.initial_negatives, nouns, ADJECTIVE_TEMPLATES)
    baseline = features(encoder, finished.neglabel_negatives, plain, ("This is a {} photo",))
    for name in SETS:
        table = finished.scores(name)
        assert list(table["path"]) == sorted(table["path"])
        for _, row in table.iterrows():
            image = encoder.encode_images([read_image(pictures / name / row["path"])])[0]
            pos = 100 * ids @ image
            expected = {
                "neglabel": plain_neglabel(pos, 100 * final @ image),
                "csp": plain_neglabel(pos, 100 * csp @ image),
                "neglabel_baseline": plain_neglabel(100 * plain_ids @ image, 100 * baseline @ image),
                "mcm": float(torch.softmax(pos / 100, 0).max()),
                "mcm_scaled": float(torch.softmax(pos, 0).max()),
                "max_logit": float(pos.max()),
                "energy": float(pos.exp().sum().log()),
                "negrefine": row["neglabel"] + 2 * row["multi_matching"],
            }
            assert {key: row[key] for key in expected} == pytest.approx(expected, abs=2e-4)


def plain_neglabel(pos: torch.Tensor, neg: torch.Tensor) -> float:
    return loop_neglabel(pos, neg, 100, scoring.group_permutation(len(neg)))


def test_overrides_that_change_the_negatives_leave_the_score_before_them_beside_the_new_one(
    finished: Run, copied: Run, pictures: Path, model: CachedEncoder
) -> None:
    dropped = finished.scores("far")["pair_negative"].iloc[0]
    overrides.override(copied, [dropped], overrides.DROPPED, "me")
    assert "far" in overrides.outdated_scores(copied)
    pipeline.score(copied, model, [open_image_set(pictures / "far")])
    assert "far" not in overrides.outdated_scores(copied)
    table, before = copied.scores("far"), finished.scores("far")
    np.testing.assert_allclose(table["negrefine_judged"], before["negrefine"], atol=1e-6)
    assert not np.allclose(table["negrefine"], before["negrefine"])
    overrides.undo(copied, "me")
    pipeline.score(copied, model, [open_image_set(pictures / "far")])
    assert "negrefine_judged" not in copied.scores("far")


def test_scores_carry_paths_and_classes_and_skipped_images_are_listed(finished: Run) -> None:
    assert set(finished.scores("pets")["class"]) == set(IDS)
    assert finished.scores("far")["class"].isna().all()
    assert len(finished.scores("far")) == 9
    assert finished.skipped.to_numpy().tolist() == [["far", "broken.png", "empty file"]]


def test_the_stored_permutation_is_the_one_the_detector_uses(finished: Run, model: CachedEncoder) -> None:
    assert list(finished.info.permutation) == pipeline.detector(finished, model).permutation.tolist()
    assert finished.info.fingerprint == model.fingerprint


def test_the_metrics_file_holds_each_methods_metrics_and_their_average(
    finished: Run, copied: Run, pictures: Path
) -> None:
    copied.write_scores("near", pictures, finished.scores("far").assign(negrefine=2.0))
    metrics = pipeline.evaluate(copied, "pets", ["far", "near"], n_bootstrap=20)
    assert copied.metrics == json.loads(json.dumps(metrics))
    assert list(metrics["methods"]) == [method.name for method in measured()]
    assert metrics["images"] == {"pets": 12, "far": 9, "near": 9}
    for method in measured():
        column, rows = method.column, metrics["methods"][method.name]
        for name in ("far", "near"):
            expected = ood_metrics(copied.scores("pets")[column], copied.scores(name)[column])
            assert rows[name]["auroc"] == expected.auroc
            assert rows[name]["fpr95"] == expected.fpr95
            low, high = rows[name]["auroc_interval"]
            assert low <= high
        assert rows["average"]["auroc"] == pytest.approx((rows["far"]["auroc"] + rows["near"]["auroc"]) / 2)


def test_a_method_is_added_with_one_function_and_one_row(
    copied: Run, pictures: Path, model: CachedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def margin_score(pos_sim: torch.Tensor, neg_sim: torch.Tensor) -> torch.Tensor:
        """(B,) how much nearer the nearest ID label is than the nearest negative."""
        return pos_sim.amax(1) - neg_sim.amax(1)  # (B, P), (B, N) -> (B,)

    meaning = "highest similarity with an ID label minus the highest with a mined negative"
    row = Method("margin", "Margin", meaning, lambda images: margin_score(images.pos_sim, images.neg_sim), "mined")
    before = pipeline.evaluate(copied, "pets", ["far"], n_bootstrap=20)["methods"]
    monkeypatch.setattr(methods, "METHODS", (*methods.METHODS, row))
    assert pipeline.evaluate(copied, "pets", ["far"], n_bootstrap=20)["methods"] == before  # older scores lack it
    pipeline.score(copied, model, [open_image_set(pictures / name) for name in SETS])
    after = pipeline.evaluate(copied, "pets", ["far"], n_bootstrap=20)["methods"]
    assert list(after) == [*before, "Margin"]
    ids = model.encode_labels(IDS, NOUN_TEMPLATES)
    mined = features(model.encoder, copied.initial_negatives, NOUN_TEMPLATES, ADJECTIVE_TEMPLATES)
    table = copied.scores("pets")
    image = model.encode_images([read_image(pictures / "pets" / table["path"][0])])[0]
    assert table["margin"][0] == pytest.approx(float(100 * (ids @ image).max() - 100 * (mined @ image).max()), abs=1e-3)


def test_judged_questions_are_not_asked_again_and_the_log_does_not_grow(copied: Run, model: CachedEncoder) -> None:
    class NoJudge:
        identity, concurrency = "wordnet", 1

        async def open(self) -> None: ...

        async def close(self) -> None: ...

        async def ask(self, question: Question) -> Reply:
            raise AssertionError(f"asked again: {question.prompt}")

    before = copied.path("verdicts.jsonl").read_bytes()
    pipeline.refine(copied, model, NoJudge())
    assert copied.path("verdicts.jsonl").read_bytes() == before


def test_a_label_equal_to_an_id_is_logged_once_however_often_it_is_refined(
    copied: Run, model: CachedEncoder, judge: WordNetJudge
) -> None:
    copied.write_initial_negatives([*copied.initial_negatives, Negative("d.o.g", "noun", 0.5)])
    for _ in range(3):
        pipeline.refine(copied, model, judge)
    assert [v.negative for v in copied.verdicts if v.kind == "same"] == ["dog"]
    assert "dog" not in {negative.label for negative in copied.negatives}


def test_a_judge_that_rejects_everything_is_an_error(copied: Run, model: CachedEncoder) -> None:
    class YesJudge:
        identity, concurrency = "yes", 4

        async def open(self) -> None: ...

        async def close(self) -> None: ...

        async def ask(self, question: Question) -> Reply:
            return Reply("Yes")

    with pytest.raises(NegRefineError, match="rejected every negative"):
        pipeline.refine(copied, model, YesJudge())


def test_a_set_of_unreadable_images_says_so_and_lists_them(copied: Run, model: CachedEncoder, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "broken" / name).write_bytes(b"text")
    with pytest.raises(NegRefineError, match=r"none of the 2 images of broken could be read.*a\.png: not a picture"):
        pipeline.score(copied, model, [open_image_set(tmp_path / "broken")])
    assert "broken" not in copied.scored_sets
    assert len(copied.skipped[copied.skipped["image_set"] == "broken"]) == 2


def test_a_chunk_without_one_readable_image_harms_no_other(
    copied: Run, model: CachedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pictures(tmp_path / "set", 5)
    for name in ("000.png", "001.png", "004.png"):
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(embedding, "IMAGE_CHUNK", 2)
    pipeline.score(copied, model, [open_image_set(folder)])
    table = copied.scores(folder.name)
    assert table["path"].tolist() == ["002.png", "003.png"]
    assert np.issubdtype(table["negrefine"].dtype, np.floating)
    assert copied.scores("set")["path"].tolist() == ["002.png", "003.png"]


def test_features_are_those_that_were_scored_and_need_no_picture_or_model(
    copied: Run, model: CachedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    own = CachedEncoder(model.encoder)
    folder = write_pictures(tmp_path / "set", 5)
    pipeline.score(copied, own, [open_image_set(folder)])
    table, wanted = copied.scores("set", copied.score_columns("set")), np.array([1, 2, 4])
    files = table["path"].tolist()
    scored = own.encode_images([read_image(folder / file) for file in files])
    (folder / files[1]).unlink()
    (folder / files[2]).write_bytes((folder / files[0]).read_bytes())

    rows, found = pipeline.readable_features(copied, lambda: pytest.fail("it loads the model"), "set", files, wanted)
    assert rows.tolist() == [1, 2, 4]
    torch.testing.assert_close(found, scored[[1, 2, 4]], atol=1e-5, rtol=0)

    copied.write_scores("older", folder, table.drop(columns="content"))  # it does not say what its files held
    rows, compared = run_maps.features_to_compare(
        copied,
        {"older": files, "set": files},
        np.array([1, 3, 6, 9]),
        lambda _, each, wanted: (wanted[1:], torch.full((1, own.dim), 7.0)),
    )
    assert rows.tolist() == [3, 6, 9]
    assert (compared[0] == 7).all()
    torch.testing.assert_close(torch.from_numpy(compared[1:]), scored[[1, 4]], atol=1e-5, rtol=0)

    others = [files[row] for row in (3, 0, 4, 1, 2)]  # it was scored again since these were read
    rows, found = pipeline.readable_features(copied, lambda: own, "set", others, np.array([0, 1]))
    assert rows.tolist() == [0, 1]
    torch.testing.assert_close(found, scored[[3, 0]], atol=1e-5, rtol=0)
    for strangers in ("../../set", "\0", "", "0" * 32):
        assert feature_store.known_features(strangers, table["content"].tolist()) is None

    of_before = table.drop(columns="content")
    for strangers in (None, "../up", "0" * 32, 7):
        copied.write_scores("set", folder, of_before if strangers is None else of_before.assign(content=strangers))
        rows, found = pipeline.readable_features(copied, lambda: own, "set", files, wanted)
        assert rows.tolist() == [2, 4]
        torch.testing.assert_close(found, scored[[0, 4]], atol=1e-5, rtol=0)


def test_an_actors_part_is_of_as_many_chunks_as_there_are(
    copied: Run, model: CachedEncoder, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_image_set(write_pictures(tmp_path / "set", 7))
    for name in ("000.png", "001.png", "005.png"):
        (images.root / name).write_bytes(b"")
    monkeypatch.setattr(embedding, "IMAGE_CHUNK", 2)
    pipeline.score(copied, model, [images])
    weights = Weights(tiny_model, None, model.fingerprint)
    actor = _Actor(weights, pipeline.recipe(copied), images.name, str(images.root), 1)
    sent = "\0".join(images.paths).encode()
    part = actor({"number": np.array([0]), "known": np.array([""]), "paths": np.array([sent])})
    assert part["error"] == [""]
    assert part["skipped"] == [["000.png", "001.png", "005.png"]]
    table = pd.read_parquet(io.BytesIO(part["table"][0]))
    assert table["path"].tolist() == ["002.png", "003.png", "004.png", "006.png"]
    np.testing.assert_allclose(table["negrefine"], copied.scores("set")["negrefine"], rtol=1e-5)


def test_metrics_need_a_scored_id_set_and_an_ood_set(finished: Run) -> None:
    with pytest.raises(NegRefineError, match="at least one OOD image set"):
        pipeline.evaluate(finished, "pets", [])
    with pytest.raises(NegRefineError, match="no scores of 'nowhere'; scored: far, pets"):
        pipeline.evaluate(finished, "nowhere", ["far"])


def test_each_step_asks_for_the_one_before(
    tmp_path: Path, model: CachedEncoder, judge: WordNetJudge, pictures: Path
) -> None:
    run = Run.create("bare", SMALL, IDS, tmp_path)
    with pytest.raises(NegRefineError, match="do the step 'mine' first"):
        pipeline.refine(run, model, judge)
    with pytest.raises(NegRefineError, match="do the step 'refine' first"):
        pipeline.score(run, model, [open_image_set(pictures / "pets")])


@pytest.mark.parametrize("n_negatives", [1, 4])
def test_few_labels_are_scored_and_noted(
    tmp_path: Path, model: CachedEncoder, pictures: Path, n_negatives: int
) -> None:
    run = Run.create("few", SMALL, ["dog"], tmp_path)
    negatives = [Negative(f"thing{chr(97 + i)}", "noun", 0.0) for i in range(n_negatives)]
    for write in (run.write_initial_negatives, run.write_neglabel_negatives, run.write_negatives):
        write(negatives)
    pipeline.score(run, model, [open_image_set(pictures / "pets")])
    table = run.scores("pets")
    assert table["negrefine"].between(0, 3).all()
    assert (table["mcm"] == 1).all()
    assert len(pipeline.detector(run, model).notes) == 4


def test_sketch_templates_are_used_when_asked_for(tmp_path: Path, model: CachedEncoder) -> None:
    run = Run.create("sketch", SMALL.model_copy(update={"sketch_templates": True}), IDS, tmp_path)
    negatives = [Negative("rock", "noun", 0.0)]
    run.write_negatives(negatives)
    scorer = pipeline.detector(run, model)
    assert scorer.config.noun_templates == SKETCH_TEMPLATES
    torch.testing.assert_close(scorer.id_features, model.encode_labels(IDS, SKETCH_TEMPLATES))
