"""Names, replies and reasons are text on every page: none of them becomes HTML, Markdown or a chart's tags."""

import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest
from negrefine_app.compare.view import MODES
from negrefine_app.learn.view import TITLES
from playwright.sync_api import Page

from negrefine_core import paths
from negrefine_core.runs import Run
from tests.support.app_driver import at, settled
from tests.support.browser import RAN, expect_text
from tests.support.markup import MARKUP, NAME, shown
from tests.support.runs import write_hostile_run

MADE_OF_MARKUP = ["img[src='x']", "[onerror]", "a[href^='javascript']", "strong:text-is('bold')", ".katex"]
PAGES = {
    "explore": ({}, {"show": "metrics"}, {"show": "unreadable"}, {"outcome": "TP"}),
    "image": ({"image": f"{NAME}/{NAME}/{NAME} 0.png"}, {"image": f"{MARKUP}/{MARKUP}"}),
    "review": ({}, {"queue": "all"}, {"label": MARKUP, "search": MARKUP}, {"queue": "overridden"}),
    "judges": ({}, {"tried": MARKUP, "standard": MARKUP}),
    "compare": ({"first": "mcm", "flip": "right"}, {"differ": "labels"}, *({"compare": mode} for mode in MODES)),
    "classes": ({},),
    "score": ({}, {"source": "server"}, {"source": "benchmark"}),
    "learn": tuple({"lesson": lesson} for lesson in TITLES),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_hostile_run("hostile", paths.RUNS, tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def unknown(run: Run) -> Run:
    """The run with nobody having said which of its image sets is ID."""
    copied = Run(Path(shutil.copytree(run.folder, run.folder.with_name("unknown"))))
    copied.update_info(settings=run.settings.model_copy(update={"id_images": None, "ood_images": {}}), roles={})
    copied.path("metrics.json").unlink()
    return copied


@pytest.mark.parametrize("page", PAGES)
def test_a_page_obeys_nothing_that_a_run_says(page: str, run: Run) -> None:
    seen = ""
    for query in PAGES[page]:
        app = settled(at(page, run="hostile", **query))
        everything = shown(app)
        assert not [each for each in everything if each.is_obeyed]
        assert not [each for each in everything if each.is_marred]
        seen += "".join(each.text for each in everything)
    assert "img src=x onerror=alert" in seen, "nothing hostile was shown, so this shows nothing"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_obeys_nothing_that_its_url_says(page: str, run: Run) -> None:
    for wanted in ("nope", MARKUP):
        everything = shown(at(page, run=wanted, id=MARKUP, ood=MARKUP, image=MARKUP, label=MARKUP, back=MARKUP))
        assert not [each for each in everything if each.is_obeyed]


@pytest.mark.parametrize("page", ["explore", "image", "compare", "score", "learn"])
def test_a_set_of_which_nobody_knows_what_it_shows_obeys_no_name(page: str, unknown: Run) -> None:
    everything = shown(at(page, run=unknown.name))
    assert any("img src=x onerror=alert" in each.text for each in everything)
    assert not [each for each in everything if each.is_obeyed]


@pytest.mark.browser
@pytest.mark.slow
def test_a_real_browser_makes_no_picture_link_or_alert_of_a_runs_names(run: Run, page: Page, address: str) -> None:
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    for name, queries in PAGES.items():
        for query in queries:
            page.goto(f"{address}/{name}?{urlencode({'run': run.name, **query})}")
            page.locator(RAN).wait_for()
            is_unknown = query.get("image", "").startswith(MARKUP)  # a page that ends in an error has no foot
            expect_text(page, "hold no scored image" if is_unknown else "1 unreadable")
            for made in MADE_OF_MARKUP:
                assert page.locator(made).count() == 0, (name, query, made)
    page.goto(f"{address}/?{urlencode({'run': run.name})}")
    expect_text(page, "1 unreadable")
    assert "<img src=x onerror=alert(1)>" in page.inner_text("body"), "names are shown as they read"
    assert not alerts
