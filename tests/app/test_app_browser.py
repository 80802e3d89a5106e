"""The app in a real browser: the walk from the first screen to an image and back, and the URL that keeps it."""

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from negrefine_core import run_maps, selections
from negrefine_core.run_maps import Map
from negrefine_core.runs import Run
from tests.support.browser import drawn, expect_text, expect_url, insist, lasso

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("walked")]


def test_a_tile_an_image_and_back_are_one_walk_that_a_reload_keeps(page: Page, address: str) -> None:
    page.goto(f"{address}/?run=walked")
    expect_text(page, r"1 – 24 of 60 images")
    page.get_by_role("button", name="OOD caught").click()
    expect_url(page, r"outcome=TN")
    page.get_by_text("By hand", exact=True).click()
    expect_url(page, r"threshold=\d")

    drawn(page)  # until then the gallery's links are those of the view before
    page.locator(".st-key-gallery a").first.click()
    expect_url(page, r"/image\?.*outcome=TN.*image=food")
    expect_text(page, r"^1 of \d+")
    page.keyboard.press("ArrowRight")
    expect_text(page, r"^2 of \d+")
    page.reload()
    expect_text(page, r"^2 of \d+")

    drawn(page)
    page.get_by_role("link", name="Back to Explore").click()
    expect_url(page, r"/explore\?.*outcome=TN")
    expect_text(page, r"1 – \d+ of \d+ images")
    page.go_back()
    expect_text(page, r"^2 of \d+")


def test_a_page_of_a_laptop_shows_pictures_and_their_scores_without_scrolling(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{address}/explore?run=walked")
    expect_text(page, r"1 – 24 of 60 images")
    drawn(page)
    for place in (page.locator(".st-key-gallery a").first, page.locator(".js-plotly-plot").first):
        place.wait_for()
        expect(place).to_be_in_viewport(ratio=0.9)


def test_a_set_is_taken_out_of_several_while_the_list_of_sets_stays_open(page: Page, address: str) -> None:
    page.goto(f"{address}/explore?run=demo")
    page.get_by_role("button", name="animals against 5 OOD sets").click()
    page.get_by_role("button", name="food", exact=True).click()
    expect_url(page, "ood=objects")
    page.mouse.move(1, 1)  # off the button whose tooltip may cover the next one
    page.get_by_role("button", name="objects", exact=True).click()
    expect(page.get_by_role("button", name="animals against 3 OOD sets")).to_be_visible()


def test_a_range_brushed_on_the_histogram_filters_the_gallery(page: Page, address: str) -> None:
    page.goto(f"{address}/?run=walked")
    expect_text(page, r"1 – 24 of 60 images")
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    plot.wait_for()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 70, steps=5)
    page.mouse.up()
    expect_url(page, r"low=.*high=")
    expect_text(page, r"with scores from .* to ")
    page.get_by_role("button", name="Show all images").click()
    expect_text(page, r"1 – 24 of 60 images")


def test_the_menu_keeps_the_view(page: Page, address: str) -> None:
    page.goto(f"{address}/?run=walked&outcome=TP")
    expect_text(page, r"of \d+ images")
    drawn(page)
    expect(page).to_have_title("Explore · NegRefine Explorer")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Image").click()
    expect_url(page, r"/image\?run=walked&outcome=TP")
    expect_text(page, r"^1 of \d+")
    expect(page).to_have_title("Image · NegRefine Explorer")


def point_at(page: Page, row: int) -> None:
    """Put the mouse on a point of the map's first trace."""
    x, y = page.evaluate(
        """(row) => {
            const chart = document.querySelector(".st-key-image_map .js-plotly-plot");
            chart.scrollIntoView({block: "center"});
            const {left, top} = chart.querySelector(".nsewdrag").getBoundingClientRect();
            const {xaxis, yaxis} = chart._fullLayout, {x, y} = chart._fullData[0];
            return [left + xaxis.d2p(x[row]), top + yaxis.d2p(y[row])];
        }""",
        row,
    )

    def move() -> None:
        for step in (-4, 0, 1):
            page.mouse.move(x + step, y)

    insist(page, move, lambda: page.locator("#hovered").is_visible())


def test_a_line_drawn_on_the_map_chooses_images_that_are_saved_under_a_name_and_found_again(
    page: Page, address: str, walked: Run
) -> None:
    names, count = ("animals", "food"), 60
    places = np.stack([np.arange(count) % 10, np.arange(count) // 10], axis=1).astype("float32")  # a grid
    run_maps.keep(run_maps.of_images(walked, names, "pca"), Map(np.arange(count), places))
    page.goto(f"{address}/explore?run=walked&show=map")
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    plot.wait_for()
    drawn(page)
    page.wait_for_function("() => Object.keys(window.pictureOfPoint ?? {}).length == 59")  # one leaves its folder
    point_at(page, 5)
    expect(page.locator("#hovered")).to_have_attribute("src", re.compile("^data:image/webp"))
    expect(page.locator("#hovered")).to_be_visible()
    page.mouse.move(5, 5)
    expect(page.locator("#hovered")).not_to_be_visible()
    page.locator(".st-key-pick_pictured label").click()
    expect(page.locator(".js-plotly-plot image").first).to_be_visible()  # and the line goes over them
    drawn(page)
    insist(page, lambda: lasso(page, plot, 0.5), lambda: "selection=~" in page.url)
    expect_text(page, r"1 – 24 of 30 images")
    drawn(page)
    page.locator(".st-key-gallery a").first.click()
    expect_text(page, r"^1 of 30")
    drawn(page)
    page.get_by_role("link", name="Back to Explore").click()
    expect_text(page, r"1 – 24 of 30 images")
    drawn(page)
    page.get_by_role("button", name="Selections").click()
    page.get_by_role("textbox", name="Save the 30 images shown as").fill("left half")
    page.keyboard.press("Enter")
    drawn(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect_url(page, r"selection=left(\+|%20)half")
    page.reload()
    expect_text(page, r"1 – 24 of 30 images")
    expect(page.get_by_role("button", name="Leave “left half”")).to_be_visible()
    assert sum(map(len, selections.read(walked, "left half").images.values())) == 30
    drawn(page)
    page.get_by_role("button", name="Selections").click()
    page.get_by_role("textbox", name="Rename “left half” to").fill("west")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Leave “west”")).to_be_visible()
    assert sum(map(len, selections.read(walked, "west").images.values())) == 30
