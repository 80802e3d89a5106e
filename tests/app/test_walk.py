"""The whole walk in a real browser, with real workers and the bundled model: from the first screen to a table on disk.

The run is small: five classes against WordNet's words for food, and a few hundred of the bundled pictures.
"""

import re
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from negrefine_core import jobs, overrides, paths, pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import load_encoder
from negrefine_core.image_sets import open_image_set
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.metrics import ood_metrics
from negrefine_core.runs import Run, Settings
from negrefine_core.sorting import NONE
from tests.support.browser import drawn, expect_text, expect_url, say
from tests.support.jobs import until
from tests.support.pictures import photographs

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("no_jobs_left")]

IDS = ["cat", "dog", "owl", "fox", "cow"]
EDITED = ["cat", "dog", "owl", "chicken", "fish"]
OWN = ["cat", "dog", "owl", "fox", "cow", "horse", "bee", "rocket"]
BRUSHED = r"with scores from .* to .*, as drawn"


@pytest.fixture(scope="module")
def first() -> Run:
    """A finished run: mined, refined, and scored on pictures of animals and of food."""
    settings = Settings(model="demo", n_groups=2, fraction=0.1, noun_files=("noun.food",), adjective_files=("adj.ppl",))
    run, encoder = Run.create("walk", settings, IDS), CachedEncoder(load_encoder("demo"))
    pipeline.mine(run, encoder)
    pipeline.refine(run, encoder, WordNetJudge())
    pipeline.score(run, encoder, [open_image_set(paths.IMAGES / name) for name in ("animals", "plants")])
    run.set_role("animals", "ID")
    pipeline.evaluate(run, "animals", ["plants"], n_bootstrap=20)
    return run


def test_from_the_first_screen_to_an_exported_table(page: Page, address: str, first: Run, tmp_path: Path) -> None:
    page.goto(f"{address}/?run={first.name}")
    expect_text(page, r"of 124 images")
    edit_classes_and_re_mine(page)
    run = Run.open("walk-2")
    refine(page, run)
    restored = review_by_keyboard(page, run)
    score_the_first_runs_sets(page)
    score_a_zip_through_a_reload_and_a_cancel(page, dinner(tmp_path))
    brush(page)
    open_an_image_and_follow_a_badge(page)
    compare(page, restored)
    export(page, run)


def edit_classes_and_re_mine(page: Page) -> None:
    menu(page, "ID classes")
    expect_text(page, "5 rows")
    page.get_by_role("button", name="Paste").click()
    page.get_by_placeholder("red fox").fill("\n".join(EDITED))
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Replace the list with these").click()
    expect_text(page, "2 added, 2 removed")
    page.get_by_role("button", name="Re-mine 5 classes").click()
    expect_url(page, "run=walk-2&step=changes")
    expect_text(page, "questions are new")


def refine(page: Page, run: Run) -> None:
    page.get_by_role("button", name="Refine these negatives").click()
    page.locator(".st-key-refine").get_by_role("button").click()
    expect_text(page, "negatives kept")
    assert run.id_labels == EDITED
    assert run.info.judge == "wordnet"


def review_by_keyboard(page: Page, run: Run) -> str:
    """Agree, restore, undo, restore again; the label that is then back among the negatives."""
    page.get_by_role("link", name="Review the decisions").click()
    expect_url(page, r"/review\?.*run=walk-2")
    expect_text(page, "0 of .* reviewed")
    agreed = press(page, "k")
    expect_text(page, "1 of .* reviewed")
    label = press(page, "s")
    expect_text(page, "2 of .* reviewed")
    assert {negative.label for negative in run.negatives} & {agreed, label} == {label}
    press(page, "u")
    expect_text(page, "1 of .* reviewed")
    assert label not in {negative.label for negative in run.negatives}
    assert press(page, "s") == label
    expect_text(page, "2 of .* reviewed")
    entry = overrides.in_force(run.overrides)[label]
    assert (entry.old, entry.new) == (overrides.DROPPED, overrides.KEPT)
    return label


def score_the_first_runs_sets(page: Page) -> None:
    menu(page, "ID classes")
    page.get_by_text("3 · Refine and score").click()
    page.get_by_text("Score the 2 image sets of walk with these classes").click()
    for role in ("My ID classes", "Something else (OOD)"):
        page.get_by_text(role, exact=True).nth(0 if role.startswith("My") else 1).click()
        drawn(page)
    page.locator(".st-key-score").get_by_role("button").click()
    page.get_by_role("link", name="See the scores").wait_for()


def dinner(folder: Path) -> Path:
    """The bundled pictures of food as a zip, with a file that is no picture."""
    with zipfile.ZipFile(folder / "dinner.zip", "w") as archive:
        for file in sorted((paths.IMAGES / "food").rglob("*.png")):
            archive.write(file, Path("dinner") / file.relative_to(paths.IMAGES / "food"))
        archive.writestr("dinner/notes.png", b"no picture")
    return folder / "dinner.zip"


def score_a_zip_through_a_reload_and_a_cancel(page: Page, file: Path) -> None:
    menu(page, "Score")
    page.get_by_role("radio", name="Upload files or a zip").click()
    expect_url(page, "source=files")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("Something else (OOD)", exact=True).first.click()
    expect(page.get_by_role("button", name="Start scoring")).to_be_enabled()
    page.get_by_role("button", name="Start scoring").click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.reload()
    expect_text(page, r"1 job running(, \d+%)?: Score dinner")
    (job,) = jobs.active()
    drawn(page)
    page.get_by_role("button", name="Cancel").click()
    until(lambda: not job.is_alive)
    assert job.state == "cancelled"
    expect_text(page, "Score dinner was cancelled")
    page.get_by_role("button", name="Resume").click()
    expect_text(page, "114 images of dinner scored, 1 skipped as unreadable; metrics of animals against dinner, plants")
    page.get_by_role("link", name="See the images in Explore").click()
    expect_url(page, "run=walk-2.*ood=dinner")
    expect_text(page, "of 214 images")


def brush(page: Page) -> None:
    """The lower half of the scores."""
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    plot.wait_for()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 70, steps=5)
    page.mouse.up()
    expect_url(page, r"low=.*high=")
    expect_text(page, BRUSHED)


def open_an_image_and_follow_a_badge(page: Page) -> None:
    """The browser's Back and the app's own links lead to where one was."""
    drawn(page)  # until then the gallery's links are those of the view before
    page.locator(".st-key-gallery a").first.click()
    expect_url(page, r"/image\?.*low=.*image=")
    expect_text(page, r"^1 of \d+")
    drawn(page)
    image = page.url
    page.locator("a[href*='label=']").first.click()
    expect_url(page, r"/review\?.*image=.*label=")
    expect_text(page, "Images it attracts")
    page.go_back()
    expect_text(page, r"^1 of \d+")
    assert page.url == image
    page.go_forward()
    page.get_by_role("link", name="Back to the picture").click()
    expect_url(page, r"/image\?.*low=.*image=")
    page.get_by_role("link", name="Back to Explore").click()
    expect_url(page, r"/explore\?.*low=.*high=")
    expect_text(page, BRUSHED)


def compare(page: Page, restored: str) -> None:
    """What the override changed; and a picture of a tile, which leads back to the tile."""
    menu(page, "Compare")
    page.get_by_role("combobox", name="First side").click()
    page.get_by_role("option", name="NegRefine before overrides").click()
    expect_url(page, "first=negrefine_judged")
    drawn(page)
    page.get_by_text("Negatives that differ", exact=True).first.click()
    expect_text(page, "From NegRefine before overrides to NegRefine: 0 removed, 1 added")
    page.get_by_placeholder("text in the label or the ID class").fill(restored)
    page.keyboard.press("Enter")
    expect_url(page, "find=")
    drawn(page)
    page.get_by_role("button", name="Still right").click()
    expect_url(page, "flip=right")
    drawn(page)  # until then the gallery's links are those of the view before
    page.locator(".st-key-gallery a").first.click()
    expect_url(page, r"/image\?.*back=compare.*flip=right")
    page.get_by_role("link", name="Back to Compare").click()
    expect_url(page, r"/compare\?.*flip=right")
    expect_text(page, "What becomes of each image")


def export(page: Page, run: Run) -> None:
    """The table holds the brushed images, and no others, with the run's own scores and threshold."""
    menu(page, "Explore")
    expect_text(page, BRUSHED)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    assert download.value.suggested_filename == "walk-2-negrefine.csv"
    table = pd.read_csv(download.value.path(), keep_default_na=False)
    query = {name: float(value) for name, value in re.findall(r"(low|high)=([^&]+)", page.url)}
    inside, outside = run.scores("animals"), run.scores("dinner")
    scores = pd.concat([inside, outside])["negrefine"]
    expected = scores[scores.between(query["low"], query["high"])]
    assert 0 < len(expected) < len(scores)
    assert sorted(table["negrefine"]) == pytest.approx(sorted(expected), abs=1e-6)
    assert set(table["image_set"]) == {"animals", "dinner"}
    threshold = ood_metrics(inside["negrefine"], outside["negrefine"]).threshold95
    assert table["threshold"].to_numpy() == pytest.approx(threshold)
    wrong = (table["negrefine"] >= threshold) != (table["image_set"] == "animals")
    assert list(wrong) == sorted(wrong, reverse=True)  # the most wrong first, as shown
    assert {"csp", "neglabel_baseline", "negrefine_judged", "mcm"} <= set(table.columns)


def test_own_classes_and_an_unsorted_folder_end_in_a_sorted_list_and_folders(
    page: Page, address: str, first: Run, tmp_path: Path
) -> None:
    page.goto(f"{address}/classes?run={first.name}&begin=own")
    page.get_by_role("button", name="Paste").click()
    page.get_by_placeholder("red fox").fill("\n".join(OWN))
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Replace the list with these").click()
    page.get_by_role("button", name="Mine and refine 8 classes").click()
    expect_url(page, "run=my-classes&step=refine")
    run = Run.open("my-classes")
    expect_text(page, "negatives kept")
    page.get_by_role("link", name="Score my own pictures").click()
    page.get_by_role("radio", name="Upload a folder").click()
    page.locator("input[type=file][webkitdirectory]").set_input_files(unsorted(tmp_path))
    say(page, "I don’t know: sort them for me")
    page.get_by_role("button", name="Start scoring").click()
    expect_text(page, "30 images of pictures scored")
    page.get_by_role("link", name="See the images in Explore").click()
    expect_text(page, "of 30 images")
    drawn(page)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Sorted list").click()
    table = pd.read_csv(download.value.path(), keep_default_na=False)
    scores = run.scores("pictures")
    assert list(table["negrefine"]) == pytest.approx(sorted(scores["negrefine"], reverse=True), abs=1e-6)
    assert set(table["predicted"]) <= {*OWN, ""}
    with page.expect_download() as download:
        page.get_by_role("button", name="Folders").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        places = {Path(name).name: name.split("/")[0] for name in archive.namelist() if "/" in name}
    assert places == {Path(row.path).name: row.predicted or NONE for row in table.itertuples()}


def unsorted(folder: Path) -> Path:
    """Thirty pictures without a word on what they show: ten photographs and twenty drawings."""
    (folder / "pictures").mkdir()
    drawings = [sorted((paths.IMAGES / kind).rglob("*.png"))[::9][:10] for kind in ("animals", "food")]
    for number, file in enumerate([*sorted(photographs().glob("*.jpg")), *drawings[0], *drawings[1]]):
        shutil.copy(file, folder / "pictures" / f"{number:02}{file.suffix}")
    return folder / "pictures"


def menu(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def press(page: Page, key: str) -> str:
    """Press a key once the page is drawn; the label on the card that it was pressed for."""
    expect_text(page, "0 unreadable")  # the foot of the page
    drawn(page)
    label = page.locator("h4").first.inner_text()
    page.keyboard.press(key)
    return label
