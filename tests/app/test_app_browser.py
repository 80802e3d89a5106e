"""The app in a real browser: the walk from the first screen to an image and back, and the URL that keeps it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from negrefine_core import paths
from tests.app.test_app import write_run

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs the test requirement playwright")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs Debian's Chromium at {CHROMIUM}")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WAIT = 60_000  # milliseconds: a busy machine draws a first page slowly


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the app, with one small run."""
    if not (paths.RUNS / "walked").exists():  # another module of this process may have made it
        write_run("walked", paths.RUNS, tmp_path_factory.mktemp("walked"))
    with served() as address:
        yield address


@contextmanager
def served() -> Iterator[str]:
    """A server of the app on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(port)],
        cwd=ROOT, env=os.environ | {"NEGREFINE_DATA": str(paths.DATA)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_until_up(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _wait_until_up(url: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - the loopback address made above
                return
        except (URLError, ConnectionError):
            time.sleep(0.2)
    raise TimeoutError(f"the app did not start within {seconds:.0f} s")


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "sync_api.Browser") -> Iterator["sync_api.Page"]:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(WAIT)
    yield page
    page.close()


def expect_text(page: "sync_api.Page", pattern: str) -> None:
    sync_api.expect(page.get_by_text(re.compile(pattern)).first).to_be_visible(timeout=WAIT)


def expect_url(page: "sync_api.Page", pattern: str) -> None:
    sync_api.expect(page).to_have_url(re.compile(pattern), timeout=WAIT)


def test_a_tile_an_image_and_back_are_one_walk_that_a_reload_keeps(page: "sync_api.Page", address: str) -> None:
    page.goto(f"{address}/?run=walked")
    expect_text(page, r"1 – 24 of 60 images")
    page.get_by_role("button", name="OOD caught").click()
    expect_url(page, r"outcome=TN")
    page.get_by_text("By hand", exact=True).click()
    expect_url(page, r"threshold=\d")

    page.locator(".st-key-gallery a").first.click()
    expect_url(page, r"/image\?.*outcome=TN.*image=food")
    expect_text(page, r"^1 of \d+")
    page.keyboard.press("ArrowRight")
    expect_text(page, r"^2 of \d+")
    page.reload()
    expect_text(page, r"^2 of \d+")

    page.get_by_role("link", name="Back to Explore").click()
    expect_url(page, r"/\?.*outcome=TN")
    expect_text(page, r"1 – \d+ of \d+ images")
    page.go_back()
    expect_text(page, r"^2 of \d+")


def test_a_range_brushed_on_the_histogram_filters_the_gallery(page: "sync_api.Page", address: str) -> None:
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


def test_the_menu_keeps_the_view(page: "sync_api.Page", address: str) -> None:
    page.goto(f"{address}/?run=walked&outcome=TP")
    expect_text(page, r"of \d+ images")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Image").click()
    expect_url(page, r"/image\?run=walked&outcome=TP")
    expect_text(page, r"^1 of \d+")
