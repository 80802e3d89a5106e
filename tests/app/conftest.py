"""What the app's browser tests share: Chromium, a page, a server of the app and a small run to look at."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from negrefine_core import paths
from negrefine_core.runs import Run
from tests.support.browser import ARGUMENTS, CHROMIUM, WAIT, served
from tests.support.runs import write_run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where there is no Chromium, the tests that need it say that they are skipped."""
    if not CHROMIUM.exists():
        reason = pytest.mark.skip(reason=f"needs Debian's Chromium at {CHROMIUM}")
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(reason)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of the app, over the tests' data folder."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=WAIT)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(WAIT)
    yield page
    page.close()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with drawn scores."""
    if (paths.RUNS / "walked").exists():  # another module of this process made it
        return Run.open("walked")
    return write_run("walked", paths.RUNS, tmp_path_factory.mktemp("walked"))
