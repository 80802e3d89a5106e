"""The review in a real browser: hundreds of labels by keyboard, undo, and a link that reopens the same card."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from negrefine_core import label_maps, overrides, run_maps
from negrefine_core.run_maps import Map
from negrefine_core.runs import Run, Settings
from tests.support.browser import drawn, expect_text, expect_url, insist, lasso
from tests.support.runs import REVIEWED_IDS, write_verdicts

COUNT_SENT = """
    const send = WebSocket.prototype.send
    window.sent = 0
    WebSocket.prototype.send = function (message) { window.sent += 1; return send.call(this, message) }
"""

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("walked")]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(f"keyed-{tmp_path.name[-40:]}", Settings(n_groups=2), REVIEWED_IDS)
    write_verdicts(run)
    return run


@pytest.fixture
def review(page: Page, address: str, run: Run) -> Page:
    page.add_init_script(COUNT_SENT)
    page.goto(f"{address}/?run=walked")
    expect_text(page, r"of 60 images")
    page.goto(f"{address}/review?run={run.name}&order=alphabet")
    return page


def expect_card(page: Page, label: str) -> None:
    expect(page.locator("h4").first).to_have_text(label)


def press(page: Page, key: str) -> None:
    """Press a key until the page hears it: while it is drawn, its buttons do not listen yet, and nothing tells so."""
    expect_text(page, "0 unreadable")  # the foot of the page
    drawn(page)
    page.wait_for_load_state("networkidle")
    sent = page.evaluate("sent")
    insist(page, lambda: page.keyboard.press(key), lambda: page.evaluate("sent") > sent)


def test_the_keyboard_alone_goes_through_the_queue_and_back(review: Page, run: Run) -> None:
    expect_card(review, "bear garden")
    press(review, "k")
    expect_card(review, "cat")
    press(review, "j")
    expect_card(review, "common sage")
    press(review, "s")
    expect_text(review, "Restored “common sage”. U takes it back.")
    expect_card(review, "oslo")
    expect_text(review, r"2 of 4")
    assert "common sage" in [negative.label for negative in run.negatives]
    press(review, "ArrowLeft")
    expect_card(review, "common sage")
    expect_url(review, r"label=common\+sage")
    review.reload()
    expect_card(review, "common sage")
    expect_text(review, "^overridden$")
    press(review, "u")
    expect_text(review, r"1 of 4")
    expect_card(review, "common sage")
    press(review, "u")
    expect_card(review, "bear garden")
    assert overrides.in_force(run.overrides) == {}


def test_letters_typed_as_a_reason_decide_nothing(review: Page, run: Run) -> None:
    before = len(run.overrides)
    expect_card(review, "bear garden")
    field = review.get_by_label("Reason (optional)")
    field.fill("")
    field.press_sequentially("skud")
    field.press("Enter")
    expect_card(review, "bear garden")
    assert len(run.overrides) == before
    review.get_by_role("button", name=re.compile("^Restore")).first.click()
    expect_card(review, "cat")
    assert run.overrides[-1].reason == "skud"


def test_a_whole_queue_is_decided_in_a_dialog_that_closes(review: Page, run: Run) -> None:
    expect_card(review, "bear garden")
    review.get_by_role("button", name="Decide on all 4").click()
    review.get_by_text("Keep as decided", exact=True).click()
    review.get_by_role("button", name="Keep as decided: 4 labels").click()
    expect_text(review, r"4 of 4")
    expect(review.get_by_role("dialog")).to_have_count(0)
    press(review, "u")
    expect_text(review, r"0 of 4")


def test_a_line_drawn_on_the_map_of_labels_narrows_the_queue_which_is_decided_at_once_and_taken_back(
    review: Page, address: str, run: Run
) -> None:
    labels, chosen = label_maps.by_questions(run), ("bear garden", "common sage", "banana")
    across = [0.0 if labels.labels[row] in chosen else 1.0 for row in labels.known]
    places = np.stack([across, np.linspace(0, 1, len(across))], axis=1).astype("float32")
    run_maps.keep(labels.key("pca"), Map(labels.known, places))
    review.goto(f"{address}/review?run={run.name}&level=map&queue=all&order=alphabet")
    plot = review.locator(".js-plotly-plot .nsewdrag").first
    plot.wait_for()
    insist(review, lambda: lasso(review, plot, 0.5), lambda: "chosen=~" in review.url)
    expect_text(review, "3 labels of this queue chosen on the map")
    expect_card(review, "banana")
    review.get_by_role("button", name="Decide on all 3").click()
    review.get_by_text("Restore", exact=True).last.click()
    review.get_by_role("button", name="Restore: 2 labels").click()
    expect_text(review, "2 of 3 reviewed")
    expect(review.get_by_role("dialog")).to_have_count(0)
    assert {"bear garden", "common sage"} <= {negative.label for negative in run.negatives}
    press(review, "u")
    expect_text(review, "0 of 3 reviewed")
    assert not {"bear garden", "common sage"} & {negative.label for negative in run.negatives}
    expect_text(review, "3 labels of this queue chosen on the map")
    review.get_by_role("button", name="Look at all labels").click()
    expect_text(review, "of 10")
