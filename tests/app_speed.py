"""How long the app takes to answer, measured in headless Chromium from the click to the end of the script run.

python tests/app_speed.py [--data FOLDER] [--reference FOLDER]   (FOLDER of a published run: imports it if it is new)
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

REPEATS = 5
RECORD = """() => {
  const app = document.querySelector('.stApp'); window.states = [];
  new MutationObserver(() => window.states.push([performance.now(), app.dataset.testScriptState]))
    .observe(app, {attributes: true, attributeFilter: ['data-test-script-state']});
}"""
SETTLED = """() => {
  const last = window.states[window.states.length - 1];
  return last && last[1] === 'notRunning' && performance.now() - last[0] > 300;
}"""
TOOK = "start => window.states[window.states.length - 1][0] - start"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="The data folder. Default: a new one.")
    parser.add_argument("--reference", type=Path, help="A folder that the published code wrote.")
    options = parser.parse_args()
    os.environ["NEGREFINE_DATA"] = str((options.data or Path(tempfile.mkdtemp())).resolve())  # before paths.py reads it
    from test_app_browser import ARGUMENTS, CHROMIUM, served, sync_api

    if options.reference and not (Path(os.environ["NEGREFINE_DATA"]) / "runs" / "reference").exists():
        command = ["-m", "negrefine_core", "import-reference", str(options.reference), "--name", "reference"]
        subprocess.run([sys.executable, *command], check=True)
    with served() as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(120_000)
        measure_bundled(page, address)
        if options.reference:
            measure_reference(page, address)
        browser.close()


def measure_bundled(page, address: str) -> None:  # noqa: ANN001 - playwright is a test requirement
    with opened(page, f"{address}/"):
        timed(page, "Explore: a tile", lambda: page.get_by_role("button", name="OOD let in").click())
        timed(page, "Explore: next page", lambda: page.locator(".st-key-page1 button").first.click(), 3)
        timed(page, "Explore: threshold rule", alternately(
            lambda: page.get_by_text("Balanced", exact=False).first.click(),
            lambda: page.get_by_text("95% of ID kept", exact=False).first.click(),
        ))  # fmt: skip
        timed(page, "Explore: metrics and pictures", alternately(
            lambda: page.get_by_text("Metrics", exact=True).click(), lambda: page.get_by_text("Pictures", exact=True).click()
        ))  # fmt: skip
    with opened(page, f"{address}/image"):
        timed(page, "Image: next", lambda: page.keyboard.press("ArrowRight"))
    with opened(page, f"{address}/review"):
        timed(page, "Review: next", lambda: page.keyboard.press("ArrowRight"))
        timed(page, "Review: restore, undo", alternately(lambda: page.keyboard.press("s"), lambda: page.keyboard.press("u")))
    with opened(page, f"{address}/compare"):
        timed(page, "Compare: a flip tile", alternately(
            lambda: page.get_by_role("button", name="Broken").click(), lambda: page.get_by_role("button", name="Fixed").click()
        ))  # fmt: skip


def measure_reference(page, address: str) -> None:  # noqa: ANN001
    with opened(page, f"{address}/review?run=reference"):
        timed(page, "Published run, Review: next", lambda: page.keyboard.press("ArrowRight"))
        timed(page, "Published run, Review: restore, undo", alternately(
            lambda: page.keyboard.press("s"), lambda: page.keyboard.press("u")
        ))  # fmt: skip
    for order in ("alphabetical", "suspicion"):
        with opened(page, f"{address}/review?run=reference&queue=all&order={order}"):
            timed(page, f"Published run, Review: next of all, {order}", lambda: page.keyboard.press("ArrowRight"))


def alternately(*actions: Callable[[], None]) -> Callable[[], None]:
    turns = iter(actions * REPEATS * 2)
    return lambda: next(turns)()


@contextmanager
def opened(page, url: str) -> Iterator[None]:  # noqa: ANN001
    page.goto(url)
    page.get_by_text("weights").wait_for()
    page.wait_for_selector('.stApp[data-test-script-state="notRunning"]')
    page.wait_for_timeout(5000)  # what the page loads once
    page.evaluate(RECORD)
    yield


def timed(page, what: str, act: Callable[[], None], repeats: int = REPEATS) -> None:  # noqa: ANN001
    took = []
    for _ in range(repeats + 1):  # the first warms up
        page.evaluate("window.states = []")
        start = page.evaluate("performance.now()")
        act()
        page.wait_for_function(SETTLED)
        took.append(page.evaluate(TOOK, start))
    print(f"{what:<50} median {statistics.median(took[1:]):5.0f} ms, longest {max(took[1:]):5.0f} ms", flush=True)


if __name__ == "__main__":
    main()
