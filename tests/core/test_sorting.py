"""Pictures sorted at a threshold: a table that says what each looks like and why, and a folder a class."""

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from negrefine_core import sorting
from negrefine_core.errors import NegRefineError
from negrefine_core.records import Mark
from negrefine_core.runs import Run, Settings
from tests.support.pictures import write_pictures


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create("r", Settings(), ["horse", "../owl"], tmp_path / "runs")
    root = write_pictures(tmp_path / "photos", 4)
    (root / "002.png").unlink()
    run.write_scores(
        "photos",
        root,
        pd.DataFrame(
            {
                "path": [f"{i:03d}.png" for i in range(4)],
                "negrefine": [0.2, 2.5, 1.5, 1.0],
                "id_labels": [["horse"], ["../owl"], ["horse"], ["horse"]],
                "id_sims": [[20.0], [30.0], [25.0], [24.0]],
                "negative_labels": [["rust"], ["mud"], ["mud"], ["rust"]],
                "negative_sims": [[28.0], [20.0], [21.0], [24.5]],
            }
        ),
    )
    return run


@pytest.fixture
def table(run: Run) -> pd.DataFrame:
    marks = {"003.png": Mark("photos", "003.png", "", True, "horse", "ann", "")}
    return sorting.sorted_table(run.scores("photos"), "negrefine", 1.0, marks)


def test_the_table_is_ranked_and_a_picture_at_the_threshold_looks_like_its_class(table: pd.DataFrame) -> None:
    assert list(table["path"]) == ["001.png", "002.png", "003.png", "000.png"]
    assert list(table["predicted"]) == ["../owl", "horse", "horse", ""]
    last = table.iloc[-1]
    assert (last["id_label"], last["id_similarity"]) == ("horse", 20.0)
    assert (last["negative_label"], last["negative_similarity"], last["threshold"]) == ("rust", 28.0, 1.0)
    assert list(table["marked"]) == ["", "", "ID", ""]
    assert list(table["marked_class"]) == ["", "", "horse", ""]


def test_a_picture_of_a_class_that_nobody_named_goes_neither_to_the_wrong_class_nor_to_none(
    run: Run, tmp_path: Path
) -> None:
    marks = {
        "000.png": Mark("photos", "000.png", "", True, "", "ann", ""),
        "001.png": Mark("photos", "001.png", "", True, "", "ann", "", not_label="../owl"),
        "003.png": Mark("photos", "003.png", "", True, "", "ann", ""),
    }
    table = sorting.sorted_table(run.scores("photos"), "negrefine", 1.0, marks)
    sorting.copy_into_folders(run, "photos", table, tmp_path / "out")
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert found == ["horse/003.png", "one of the classes/000.png", "one of the classes/001.png"]


def test_each_picture_is_copied_under_its_class_and_nowhere_else(run: Run, table: pd.DataFrame, tmp_path: Path) -> None:
    assert sorting.copy_into_folders(run, "photos", table, tmp_path / "out") == 3  # one is gone
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert found == ["_owl/001.png", "horse/003.png", "none of the classes/000.png"]
    with pytest.raises(NegRefineError, match="there already"):
        sorting.copy_into_folders(run, "photos", table, tmp_path / "out")


def test_what_a_person_marked_goes_before_what_a_picture_looks_like(run: Run) -> None:
    said = {"001.png": (False, ""), "000.png": (True, "../owl"), "003.png": (True, "")}
    marks = {path: Mark("photos", path, "", is_id, label, "ann", "") for path, (is_id, label) in said.items()}
    file = io.BytesIO()
    sorting.write_zip(run, "photos", sorting.sorted_table(run.scores("photos"), "negrefine", 1.0, marks), file)
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist()[1:] == ["none of the classes/001.png", "horse/003.png", "_owl/000.png"]


def test_the_archive_holds_the_same_and_the_table(run: Run, table: pd.DataFrame) -> None:
    file = io.BytesIO()
    assert sorting.write_zip(run, "photos", table, file) == 3
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        stored = pd.read_csv(archive.open("sorted.csv"), keep_default_na=False)
        content = archive.read("horse/003.png")
    assert names == ["sorted.csv", "_owl/001.png", "horse/003.png", "none of the classes/000.png"]
    assert list(stored["predicted"]) == ["../owl", "horse", "horse", ""]
    assert content == (run.image_root("photos") / "003.png").read_bytes()
    assert sorting.size(run, "photos", table["path"]) > len(content)


def test_a_folders_name_is_one_that_any_disk_takes_and_no_two_are_alike() -> None:
    labels = ["A/B", "A:B", "a?b", "..", "none of the classes", "x" * 200, "猫"]
    names = sorting.folder_names(labels)
    assert names[""] == "none of the classes"
    assert len({name.casefold() for name in names.values()}) == len(labels) + 1
    assert all(name not in (".", "..", "") and not set(name) & set('/\\:*?"<>|') for name in names.values())
    assert names["猫"] == "猫"


def test_nothing_is_made_where_no_picture_is_left(run: Run, table: pd.DataFrame, tmp_path: Path) -> None:
    for file in run.image_root("photos").iterdir():
        file.unlink()
    with pytest.raises(NegRefineError, match="folder any more"):
        sorting.copy_into_folders(run, "photos", table, tmp_path / "out")
    assert not (tmp_path / "out").exists()
