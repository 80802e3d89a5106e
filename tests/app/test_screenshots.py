"""Every page on the bundled run, light and dark, wide and narrow: nothing fails, is cut off or is without words, and
axe-core finds nothing that keeps anyone from reading or using it.

The pictures are kept in the folder that NEGREFINE_SCREENSHOTS names.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.support.browser import WAIT, drawn, expect_text

pytestmark = pytest.mark.browser

PAGES = {
    "start": "NegRefine Explorer", "explore": "Explore", "image": "Image", "review": "Review", "judges": "Judges",
    "compare": "Compare", "classes": "ID classes", "score": "Score", "learn": "Learn",
}  # fmt: skip
LAST_WORDS = {"start": "Begin with step 1"}  # the other pages end in their foot
STATES = (
    "explore?show=metrics&threshold=2.5&outcome=FP",
    "explore?show=map",
    "review?queue=kept",
    "review?level=map&queue=all",
    "compare?compare=judges",
    "compare?differ=labels",
    "classes?step=refine",
    "classes?begin=own",
    "score?source=files",
    "score?source=benchmark",
    "learn?lesson=scores",
)  # fmt: skip - pages again, with what else they can show
IN_TURN = [(("light", "dark")[place % 2], state) for place, state in enumerate(STATES)]
CHARTS_FIT = """() => [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(place => {
  const chart = place.querySelector('.main-svg');
  return chart && Math.abs(chart.getBoundingClientRect().width - place.getBoundingClientRect().width) < 2;
})"""  # charts are drawn after the script has run, and again for another width
WHOLE = """() => document.querySelectorAll('[data-testid=stSkeleton]').length === 0
  && [...document.images].every(image => image.complete)"""  # what is loaded late stands as a grey place
FAINT = """() => [...document.querySelectorAll('.js-plotly-plot :is([class*=tick], [class^=g-]) text')].filter(
  text => getComputedStyle(text).fill !== getComputedStyle(document.querySelector('[data-testid=stApp]')).color
).map(text => text.textContent)"""  # axe-core does not look into drawings
OVERFLOW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
WORDLESS = "[...document.images].filter(i => !i.alt && i.offsetWidth > 1).map(i => i.src.slice(0, 80))"
HEIGHT = "Math.max(1000, ...[...document.querySelectorAll('[data-testid=stMain]')].map(e => e.scrollHeight))"


@pytest.fixture(scope="module", params=["light", "dark"])
def opened(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(color_scheme=request.param)
    page.set_default_timeout(WAIT)
    yield page
    page.close()


def whole(page: Page, last_words: str = "weights") -> None:
    """Wait until the page has all its pictures and charts, and these words at its end."""
    expect_text(page, last_words)
    drawn(page)
    page.wait_for_function(WHOLE)
    page.wait_for_function(CHARTS_FIT)


def barriers(page: Page) -> list[str]:
    """What axe-core calls serious or critical, such as a text's contrast below WCAG AA's: what, where and why."""
    faint = [f"an axis's text is not in the page's colour: {text}" for text in page.evaluate(FAINT)]
    return faint + [
        f"{found['id']} at {node['target'][0]}: {node['failureSummary']}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_wide_and_narrow(name: str, opened: Page, address: str, tmp_path: Path) -> None:
    opened.set_viewport_size({"width": 1280, "height": 1000})
    opened.goto(f"{address}/{name if name != 'start' else ''}")
    for width in (1280, 700):
        opened.set_viewport_size({"width": width, "height": 1000})
        whole(opened, LAST_WORDS.get(name, "weights"))
        assert opened.locator("[data-testid=stException]").count() == 0
        assert opened.locator("h1").inner_text() == PAGES[name]
        opened.wait_for_function(f"{OVERFLOW} <= 0")  # else the page is wider than the window
        opened.wait_for_function(f"{WORDLESS}.length === 0")
        assert not barriers(opened)
        opened.set_viewport_size({"width": width, "height": min(3000, opened.evaluate(HEIGHT))})
        opened.wait_for_function(WHOLE)
        opened.wait_for_function(CHARTS_FIT)
        scheme = "dark" if opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
        folder = Path(os.environ.get("NEGREFINE_SCREENSHOTS", tmp_path))
        opened.screenshot(path=folder / f"{name}-{width}-{scheme}.png")


@pytest.mark.parametrize(("opened", "state"), IN_TURN, indirect=["opened"])
def test_what_else_a_page_shows_keeps_nobody_out(state: str, opened: Page, address: str) -> None:
    opened.set_viewport_size({"width": 1280, "height": 1000})
    opened.goto(f"{address}/{state}")
    whole(opened)
    assert not barriers(opened)


@pytest.mark.parametrize("opened", ["light"], indirect=True)
def test_a_barrier_is_found(opened: Page, address: str) -> None:
    opened.goto(f"{address}/explore")
    whole(opened)
    opened.add_style_tag(content="[data-testid=stCaptionContainer] { opacity: 0.4 !important; }")
    assert "color-contrast at" in barriers(opened)[0]
