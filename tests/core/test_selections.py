"""Selections: named ones lie in the run with a check, unnamed ones in the cache; compared score by score."""

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from negrefine_core import paths, selections, sorting
from negrefine_core.errors import NegRefineError
from negrefine_core.methods import METHODS
from negrefine_core.metrics import ood_metrics
from negrefine_core.runs import Run
from tests.support.runs import write_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    return write_run("selected", tmp_path / "runs", tmp_path)


def images(run: Run) -> pd.DataFrame:
    return pd.concat([run.scores(name).assign(image_set=name) for name in ("animals", "food")], ignore_index=True)


def test_a_named_selection_is_read_as_it_was_kept_and_moves_with_the_run(run: Run, tmp_path: Path) -> None:
    table = images(run)
    some = table.iloc[[3, 40, 5]]
    selections.keep(run, selections.of_images(some, "striped & odd"))
    assert selections.names(run) == ["striped & odd"]
    copied = run.copy("copied")
    kept = selections.read(copied, "striped & odd")
    assert sorted(table.index[selections.chosen(table, kept)]) == [3, 5, 40]
    selections.keep(run, selections.of_images(some, "striped & odd"))  # the same again
    with pytest.raises(NegRefineError, match="of other images"):
        selections.keep(run, selections.of_images(table.iloc[:2], "striped & odd"))
    selections.remove(run, "striped & odd")
    assert not selections.names(run)
    with pytest.raises(NegRefineError, match="no selection"):
        selections.read(run, "striped & odd")


def test_an_unnamed_one_has_an_id_by_its_images_and_lies_in_the_cache(run: Run) -> None:
    table = images(run)
    first, second = (selections.of_images(table.iloc[rows]) for rows in ([1, 2, 33], [33, 2, 1]))
    assert first == second
    selections.keep(run, first)
    assert not selections.names(run)
    assert selections.read(run, first.name).images == first.images
    for file in (paths.CACHE / "selections").iterdir():
        file.unlink()
    with pytest.raises(NegRefineError, match="not kept on this computer"):
        selections.read(run, first.name)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "~", "~nope/../x", "x\ny", "a" * 300])
def test_a_name_that_is_none_is_refused_for_reading_and_writing(run: Run, name: str) -> None:
    with pytest.raises(NegRefineError):
        selections.read(run, name)
    if name:
        with pytest.raises(NegRefineError):
            selections.keep(run, selections.of_images(images(run), name))
    with pytest.raises(NegRefineError, match="no image"):
        selections.keep(run, selections.of_images(images(run).iloc[:0], "none"))


def test_a_selection_gets_another_name_that_no_other_has(run: Run) -> None:
    table = images(run)
    selections.keep(run, selections.of_images(table.iloc[:3], "three"))
    selections.keep(run, selections.of_images(table.iloc[:4], "four"))
    for taken in ("four", "Four", "a/b", "~abc", "", "three"):
        with pytest.raises(NegRefineError):
            selections.rename(run, "three", taken)
    with pytest.raises(NegRefineError, match="no selection 'five'"):
        selections.rename(run, "five", "six")
    before = selections.read(run, "three")
    selections.rename(run, "three", "a few")
    assert selections.names(run) == ["a few", "four"]
    assert selections.read(run, "a few").images == before.images


def test_a_damaged_selection_is_named_and_never_used(run: Run) -> None:
    selections.keep(run, selections.of_images(images(run).iloc[:3], "three"))
    file = run.path("selections/three.json")
    whole = file.read_text()
    other, unchecked = whole.replace("kind_0", "kind_1"), whole.replace('"check"', '"chekc"')
    for damaged in (whole[:-9], other, "[]", unchecked, "[" * 9999):
        file.write_text(damaged)
        with pytest.raises(NegRefineError, match=r"three\.json cannot be read"):
            selections.read(run, "three")
    file.rename(run.path("selections/four.json")).write_text(whole)
    with pytest.raises(NegRefineError, match="not as it was written"):
        selections.read(run, "four")


def test_two_selections_are_compared_by_every_score_as_their_own_figures_say(run: Run) -> None:
    table = images(run)
    first, second = table.iloc[:20], table.iloc[30:50]
    at = pd.Series({score.column: 1.5 for score in METHODS})
    rows = selections.compared(first, second, METHODS, at).set_index("method")
    row = rows.loc["NegRefine"]
    assert row["median_1"] == pytest.approx(first["negrefine"].median())
    assert row["accepted_2"] == pytest.approx((second["negrefine"] >= 1.5).mean())
    assert row["auroc"] == pytest.approx(ood_metrics(first["negrefine"], second["negrefine"]).auroc)


def test_the_pictures_are_packed_in_a_folder_for_each_set_without_those_outside_theirs(run: Run) -> None:
    file = io.BytesIO()
    table = images(run).iloc[[0, 30, 59]]  # the last tries to leave its folder
    assert sorting.write_copies(run, table, file) == 2
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["images.csv", "animals/kind_0/0.png", "food/kind_0/0.png"]
        assert len(pd.read_csv(archive.open("images.csv"))) == 3
