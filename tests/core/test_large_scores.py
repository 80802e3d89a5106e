"""Scores of more images than an explorer holds: parts with all of them, and a sample that is looked through."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from negrefine_core import pipeline
from negrefine_core.errors import NegRefineError
from negrefine_core.run_files import large_scores
from negrefine_core.runs import Run, remove_image_set
from tests.support.runs import write_run

MOST = 100


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(large_scores, "MOST", MOST)
    return write_run("large", tmp_path / "runs", tmp_path)


def drawn(run: Run, rows: int, seed: int = 0) -> pd.DataFrame:
    """So many images with the scores of others, and each with one of its own."""
    draw, like = np.random.default_rng(seed), run.scores("food")
    table = like.iloc[draw.integers(len(like), size=rows)].reset_index(drop=True)
    own = (table["negrefine"] + draw.normal(0, 0.1, rows)).astype("float32")
    return table.assign(path=[f"{i}.png" for i in range(rows)], negrefine=own)


def chunks(table: pd.DataFrame, size: int = 64) -> Iterator[pd.DataFrame]:
    for start in range(0, len(table), size):
        yield table.iloc[start : start + size]


@pytest.mark.parametrize("count", [99, 100, 101, 450])
def test_all_scores_are_read_as_they_were_written_and_a_sample_of_more_is_looked_through(run: Run, count: int) -> None:
    table, skipped = drawn(run, count), [("broken.png", "is cut")]
    assert run.write_scores("many", run.image_root("food"), chunks(table), skipped=skipped) == count
    assert run.count_scored("many") == count
    pd.testing.assert_frame_equal(run.scores("many"), table)
    pd.testing.assert_frame_equal(run.scores("many", ["negrefine"]), table[["negrefine"]])
    assert run.skipped.query("image_set == 'many'")["path"].tolist() == ["broken.png"]

    sample = run.sample("many")
    rows = sample["path"].str.removesuffix(".png").astype(int)
    assert len(rows) == min(count, MOST)
    assert rows.is_monotonic_increasing
    assert rows.is_unique
    pd.testing.assert_frame_equal(sample, table.iloc[rows].reset_index(drop=True))
    assert run.flat_scores("many")["path"].tolist() == sample["path"].tolist()
    some = run.score_lists("many", [3, 0])
    assert some["negative_labels"].map(list).tolist() == sample["negative_labels"].iloc[[3, 0]].map(list).tolist()
    files = list(run.path("scores/many.parts").glob("*")) if count > MOST else []
    assert len(files) == {99: 0, 100: 0, 101: 2, 450: 5}[count]


def test_a_sample_has_of_each_part_in_proportion_and_is_the_same_of_the_same_images(run: Run) -> None:
    table = drawn(run, 1000)
    for name in ("one", "other"):
        run.write_scores(name, run.image_root("food"), chunks(table))
    rows = run.sample("one")["path"].str.removesuffix(".png").astype(int)
    assert np.bincount(rows // MOST).tolist() == [10] * 10
    pd.testing.assert_frame_equal(run.sample("one"), run.sample("other"))


def test_metrics_are_of_all_images_and_not_of_the_sample(run: Run) -> None:
    table = drawn(run, 450)
    run.write_scores("many", run.image_root("food"), table)
    of_parts = pipeline.evaluate(run, "animals", ["many"], n_bootstrap=3)
    assert of_parts["images"]["many"] == 450
    run.write_scores("many", run.image_root("food"), run.sample("many"))
    of_sample = pipeline.evaluate(run, "animals", ["many"], n_bootstrap=3)
    large_scores.MOST = 1000
    run.write_scores("many", run.image_root("food"), table)
    of_one_file = pipeline.evaluate(run, "animals", ["many"], n_bootstrap=3)
    assert of_parts["methods"] == of_one_file["methods"]
    assert of_parts["methods"] != of_sample["methods"]


def test_scores_that_are_written_anew_or_removed_leave_no_part_of_before(run: Run) -> None:
    folder = run.path("scores/many.parts")
    run.write_scores("many", run.image_root("food"), drawn(run, 250))
    before = set(folder.iterdir())
    run.write_scores("many", run.image_root("food"), drawn(run, 230, seed=1))
    assert len(set(folder.iterdir())) == 3
    assert not before & set(folder.iterdir())
    run.write_scores("many", run.image_root("food"), drawn(run, 20))
    assert not folder.exists()
    run.write_scores("many", run.image_root("food"), drawn(run, 250))
    remove_image_set(run, "many")
    assert "many" not in run.scored_sets
    assert not folder.exists()


def test_a_stop_between_the_parts_and_the_sample_leaves_the_scores_of_before(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = drawn(run, 250)
    run.write_scores("many", run.image_root("food"), table)

    def stop(*_: object) -> Iterator[pd.DataFrame]:
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as stopped:
        stopped.setattr(large_scores, "_drawn", stop)
        with pytest.raises(KeyboardInterrupt):
            run.write_scores("many", run.image_root("food"), drawn(run, 230, seed=1))
    pd.testing.assert_frame_equal(run.scores("many"), table)
    run.write_scores("many", run.image_root("food"), drawn(run, 230, seed=1))
    assert len(list(run.path("scores/many.parts").iterdir())) == 3


def test_a_part_that_is_gone_damaged_or_anothers_is_said(run: Run) -> None:
    run.write_scores("many", run.image_root("food"), drawn(run, 250))
    first, second, _ = run.path("scores/many.parts").iterdir()
    whole = first.read_bytes()
    first.unlink()
    with pytest.raises(NegRefineError, match="missing or another; score the image set again"):
        run.scores("many")
    first.write_bytes(second.read_bytes())
    with pytest.raises(NegRefineError, match="missing or another"):
        run.scores("many", ["negrefine"])
    first.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(NegRefineError, match="is damaged"):
        run.scores("many")
    assert len(run.sample("many")) == MOST
