"""The review in a real browser: hundreds of labels by keyboard, undo, and a link that reopens the same card."""

import re

import pytest
from test_app_browser import WAIT, address, browser, expect_text, expect_url, page, pytestmark, sync_api  # noqa: F401 - fixtures
from test_review_page import ANIMALS, HOSTILE, write_verdicts

from negrefine_core import overrides
from negrefine_core.runs import Run, Settings


@pytest.fixture(scope="module")
def run() -> Run:
    run = Run.create("keyed", Settings(n_groups=2), [*ANIMALS, "safe", HOSTILE])
    write_verdicts(run)
    return run


@pytest.fixture
def review(page: "sync_api.Page", address: str, run: Run) -> "sync_api.Page":  # noqa: F811 - fixtures
    page.goto(f"{address}/?run=walked")
    expect_text(page, r"of 60 images")
    page.goto(f"{address}/review?run={run.name}&order=alphabet")
    return page


def expect_card(page: "sync_api.Page", label: str) -> None:  # noqa: F811
    sync_api.expect(page.locator("h4").first).to_have_text(label, timeout=WAIT)


def test_the_keyboard_alone_goes_through_the_queue_and_back(review: "sync_api.Page", run: Run) -> None:
    expect_card(review, "bear garden")
    review.keyboard.press("k")
    expect_card(review, "cat")
    review.keyboard.press("j")
    expect_card(review, "common sage")
    review.keyboard.press("s")
    expect_card(review, "oslo")
    expect_text(review, r"2 of 4")
    assert "common sage" in [negative.label for negative in run.negatives]
    review.keyboard.press("ArrowLeft")
    expect_card(review, "common sage")
    expect_url(review, r"label=common\+sage")
    review.reload()
    expect_card(review, "common sage")
    expect_text(review, "^overridden$")
    review.keyboard.press("u")
    expect_text(review, r"1 of 4")
    expect_card(review, "common sage")
    review.keyboard.press("u")
    expect_card(review, "bear garden")
    assert overrides.in_force(run.overrides) == {}


def test_letters_typed_as_a_reason_decide_nothing(review: "sync_api.Page", run: Run) -> None:
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
    overrides.undo(run, "test")


def test_a_whole_queue_is_decided_in_a_dialog_that_closes(review: "sync_api.Page", run: Run) -> None:
    expect_card(review, "bear garden")
    review.get_by_role("button", name="All 4 in this queue").click()
    review.get_by_text("Keep as decided", exact=True).click()
    review.get_by_role("button", name="Keep as decided: 4 labels").click()
    expect_text(review, r"4 of 4")
    sync_api.expect(review.get_by_role("dialog")).to_have_count(0)
    review.keyboard.press("u")
    expect_text(review, r"0 of 4")
