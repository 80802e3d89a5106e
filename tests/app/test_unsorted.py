"""A set that nobody had sorted: marked by key, filtered by what it is taken for, and exported sorted."""

import io
import shutil
import zipfile
from collections.abc import Iterator

import pandas as pd
import pytest
from playwright.sync_api import Page
from streamlit.testing.v1 import AppTest

from negrefine_core import marks
from negrefine_core.metrics import ood_metrics
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, query, texts
from tests.support.browser import drawn, expect_text
from tests.support.runs import write_run


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run with one set of 60 pictures, half of them of its classes, of which nobody has said what it shows."""
    made = write_run("known", tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("pictures"))
    run = Run.create("unsorted", Settings(), made.id_labels)
    root = made.image_root("animals").parent
    tables = [
        made.scores(name).assign(path=lambda t, name=name: name + "/" + t["path"]) for name in ("animals", "food")
    ]
    run.write_scores("trip", root, pd.concat(tables, ignore_index=True))
    yield run
    shutil.rmtree(run.folder)


def opened(page: str = "explore", /, **more: str) -> AppTest:
    app = at(page, **({"run": "unsorted"} | more))
    assert not app.exception
    assert not app.error
    return app


def is_id(path: str) -> bool:
    return path.startswith("animals/")


def test_a_mark_says_what_was_on_the_button_and_the_next_picture_follows(run: Run) -> None:
    ranked = run.scores("trip").sort_values("negrefine", ascending=False, kind="stable")
    first, second = ranked["path"].iloc[:2]
    app = opened("image", image=f"trip/{first}", threshold="0")
    app.button(key="mark_Y").click().run()
    assert query(app)["image"] == f"trip/{second}"
    app.button(key="mark_N").click().run()
    label = ranked["id_labels"].iloc[0][0]
    known = marks.marked(run, "trip")
    assert {path: (entry.is_id, entry.id_label) for path, entry in known.items()} == {
        first: (True, label),
        second: (False, ""),
    }
    assert "**2 marked**: 1 of your classes, 1 of none" in texts(app)
    app.button(key="mark_U").click().run()
    assert query(app)["image"] == f"trip/{second}"
    assert list(marks.marked(run, "trip")) == [first]


def test_below_the_threshold_right_means_none_of_the_classes(run: Run) -> None:
    path = run.scores("trip")["path"].iloc[0]
    app = opened("image", image=f"trip/{path}", threshold="3")
    keys = [button.key for button in app.button if button.key]
    assert [key for key in keys if key.startswith("mark_")] == ["mark_Y", "mark_N", "mark_U"]
    app.button(key="mark_Y").click().run()
    assert not marks.marked(run, "trip")[path].is_id
    assert ": none of your classes." in texts(opened("image", image=f"trip/{path}", threshold="3"))


def test_another_class_is_noted_as_not_the_one_shown_or_by_its_name_and_gives_the_share_of_right_classes(
    run: Run,
) -> None:
    app = opened("image", alone="trip", threshold="0", sort="random", marked="no")
    order = pd.Series(run.scores("trip")["path"]).iloc[
        pd.util.hash_array(run.scores("trip")["path"].to_numpy(dtype=object)).argsort(kind="stable")
    ].tolist()  # fmt: skip
    app.button(key="mark_A").click().run()
    app.selectbox(key=f"mark_class_trip/{order[1]}").select("owl").run()
    app.button(key="mark_Y").click().run()
    known = marks.marked(run, "trip")
    assert [(known[path].id_label, known[path].not_label) for path in order[:3]] == [
        ("", "cat"), ("owl", ""), ("cat", ""),
    ]  # fmt: skip
    assert "right class 1 of 3 (" in texts(app)
    assert "still to mark: **2 of your classes** and **5 of none of them**" in texts(app)
    assert "4 of 60" in texts(app)
    app.button(key="step-1").click().run()  # over the pictures that are marked
    assert query(app)["image"] == f"trip/{order[2]}"
    assert "Marked by" in texts(app)
    app.button(key="mark_N").click().run()
    assert query(app)["image"] == f"trip/{order[3]}"


def test_metrics_with_intervals_appear_once_there_are_five_marks_of_each_kind(run: Run) -> None:
    paths_of = {side: [p for p in run.scores("trip")["path"] if is_id(p) == side][:5] for side in (True, False)}
    for side, some in paths_of.items():
        for path in some:
            marks.mark(run, "trip", path, side, "ann")
    app = opened(threshold="1.5")
    scores = run.scores("trip").set_index("path")["negrefine"]
    figures = ood_metrics(scores[paths_of[True]], scores[paths_of[False]])
    line = next(text for text in texts(app).splitlines() if "10 marked" in text)
    assert f"AUROC **{figures.auroc:.1%}** (" in line
    assert f"FPR@95 **{figures.fpr95:.1%}** (" in line
    app.segmented_control(key="pick_rule").set_value("marks").run()
    assert f"Threshold **{figures.threshold95:.3f}**: from your marks" in texts(app)
    right = sum((scores[p] >= 1.5) == side for side, some in paths_of.items() for p in some)
    assert f"right at this threshold {right} of 10 (" in line


def test_filters_narrow_the_gallery_and_are_taken_off_together(run: Run) -> None:
    marks.mark(run, "trip", run.scores("trip")["path"].iloc[0], True, "ann")
    app = opened(threshold="0", file="FOOD/", marked="no")
    assert "of **30** images" in texts(app)
    label = str(run.scores("trip")["id_labels"].iloc[0][0])
    app.selectbox(key="pick_taken").set_value(label).run()
    assert query(app)["taken"] == label
    next(button for button in app.button if button.label == "Show all images").click().run()
    assert "of **60** images" in texts(app)
    assert not {"file", "marked", "taken"} & query(app).keys()


def test_the_sorted_list_and_the_folders_hold_what_is_shown(run: Run) -> None:
    app = opened(threshold="1.5", file="animals/")
    downloads = {button.label: button for button in app.get("download_button")}
    assert set(downloads) == {"Sorted list (CSV)", "Folders (ZIP)", "Pictures (ZIP)"}


@pytest.mark.browser
@pytest.mark.slow
def test_forty_pictures_are_marked_by_keys_and_metrics_appear_and_the_set_is_exported(
    page: Page, address: str, run: Run
) -> None:
    page.goto(f"{address}/explore?run=unsorted&threshold=1.5")
    expect_text(page, "Nothing is marked yet")
    drawn(page)
    page.get_by_role("link", name="Mark pictures by key").click()
    expect_text(page, "1 of 60")
    for done in range(40):
        drawn(page)
        shown = page.locator("[data-testid=stImageCaption]").first.inner_text()
        path = shown.split(" / ", 1)[1]
        accepted = page.get_by_role("button", name="Wrong: none of my classes").count() > 0
        page.keyboard.press("y" if accepted == is_id(path) else "n")
        expect_text(page, f"{done + 1} marked")
    known = marks.marked(run, "trip")
    assert {path: entry.is_id for path, entry in known.items()} == {path: is_id(path) for path in known}
    assert len(known) == 40
    expect_text(page, r"AUROC .*% \(.* to .*\)")
    page.get_by_role("link", name="Back to Explore").click()
    expect_text(page, r"AUROC .*% \(.* to .*\)")
    expect_text(page, "of 60 images")  # the marked ones, too
    drawn(page)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Sorted list").click()
    table = pd.read_csv(download.value.path(), keep_default_na=False)
    scores = run.scores("trip").set_index("path")
    assert list(table["negrefine"]) == sorted(table["negrefine"], reverse=True)
    assert len(table) == 60
    expected = [scores["id_labels"][p][0] if scores["negrefine"][p] >= 1.5 else "" for p in table["path"]]
    assert list(table["predicted"]) == expected
    assert (table["marked"] != "").sum() == 40
    with page.expect_download() as download:
        page.get_by_role("button", name="Folders").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    there = [path for path in table["path"] if ".." not in path]  # one would leave its folder
    assert sorted(name.split("/", 1)[1] for name in names[1:]) == sorted(there)
    folders = {label or "none of the classes" for label in expected} | {"one of the classes"}  # marked so, below it
    assert {name.split("/")[0] for name in names[1:]} == folders
