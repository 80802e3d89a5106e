"""The app in a real browser: a server of its own, and waiting for what a page shows."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Locator, Page, expect

from negrefine_core import paths
from tests.support.jobs import HANG
from tests.support.project import ROOT

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WAIT = 1000 * HANG  # milliseconds
RAN = '[data-test-script-state="notRunning"]'

expect.set_options(timeout=WAIT)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def served() -> Iterator[str]:
    """The address of a server of the app on a free port, over the tests' data folder."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(port)],
        cwd=ROOT,
        env=os.environ | {"NEGREFINE_DATA": str(paths.DATA)},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_up(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(WAIT / 1000)


def wait_until_up(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server of this process answers; raises TimeoutError where it ends or hangs."""
    deadline = time.monotonic() + WAIT / 1000
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=30):  # noqa: S310 - the loopback address made above
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(f"the app did not start; its process says {server.poll()}")


def expect_text(page: Page, pattern: str) -> None:
    """Wait until a text that matches is seen."""
    expect(page.get_by_text(re.compile(pattern)).first).to_be_visible()


def expect_url(page: Page, pattern: str) -> None:
    """Wait until the page's address matches."""
    expect(page).to_have_url(re.compile(pattern))


def drawn(page: Page) -> None:
    """Wait until the page's script has run to its end: a click before may hold what was drawn before."""
    page.locator(RAN).wait_for()


def say(page: Page, role: str) -> None:
    """Answer what the pictures show, once it is asked, and wait until the page knows."""
    page.get_by_text(role, exact=True).first.click()
    expect(page.get_by_role("button", name="Start scoring")).to_be_enabled()


def insist(page: Page, act: Callable[[], None], condition: Callable[[], bool], seconds: float = 10) -> None:
    """Act until it counts: a canvas that is being drawn anew loses clicks, and nothing on the page tells so."""
    deadline = time.monotonic() + WAIT / 1000
    while not condition():
        assert time.monotonic() < deadline, "what is done changes nothing"
        drawn(page)
        act()
        next_try = time.monotonic() + seconds
        while not condition() and time.monotonic() < next_try:
            page.wait_for_timeout(50)


def lasso(page: Page, plot: Locator, share: float) -> None:
    """Draw a line around this share of a map, from its left edge on."""
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for across, down in ((share, 0.0), (share, 1.0), (0.0, 1.0)):
        place = box["x"] + 2 + across * (box["width"] - 4), box["y"] + 2 + down * (box["height"] - 4)
        page.mouse.move(*place, steps=6)
    page.mouse.up()
