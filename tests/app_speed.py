"""How long the app takes to answer, measured in headless Chromium from the click to the end of the script's run.

PYTHONPATH=app:. python tests/app_speed.py [--data FOLDER] [--reference FOLDER]

`--reference` is a folder that the published code wrote; it is imported into the data folder where it is new.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPEATS = 6  # the first warms up and does not count
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


def measure_bundled(page: Any, address: str) -> None:
    def button(name: str) -> Callable[[], None]:
        return lambda: page.get_by_role("button", name=name).first.click()

    def text(name: str) -> Callable[[], None]:
        return lambda: page.get_by_text(name).first.click()

    open_page(page, f"{address}/")
    timed(page, "Explore: a tile", button("OOD let in"))
    timed(page, "Explore: pages", button("chevron_right"), button("chevron_left"))
    timed(page, "Explore: threshold rules", text("Balanced"), text("95% of ID kept"))
    timed(page, "Explore: metrics, pictures", text("Metrics"), text("Pictures"))
    open_page(page, f"{address}/image")
    timed(page, "Image: next", key(page, "ArrowRight"))
    open_page(page, f"{address}/review")
    timed(page, "Review: next", key(page, "ArrowRight"))
    timed(page, "Review: restore, undo", key(page, "s"), key(page, "u"))
    open_page(page, f"{address}/compare")
    timed(page, "Compare: flip tiles", button("Broken"), button("Fixed"))


def measure_reference(page: Any, address: str) -> None:
    open_page(page, f"{address}/review?run=reference")
    timed(page, "Published run, Review: next", key(page, "ArrowRight"))
    timed(page, "Published run, Review: restore, undo", key(page, "s"), key(page, "u"))
    open_page(page, f"{address}/review?run=reference&queue=kept")
    timed(page, "Published run, Review: next of the kept", key(page, "ArrowRight"))


def key(page: Any, name: str) -> Callable[[], None]:
    return lambda: page.keyboard.press(name)


def open_page(page: Any, url: str) -> None:
    page.goto(url)
    page.get_by_text("weights").wait_for()
    page.wait_for_selector('.stApp[data-test-script-state="notRunning"]')
    page.wait_for_timeout(20_000)  # what a page loads once, in the background
    page.evaluate(RECORD)


def timed(page: Any, what: str, *actions: Callable[[], None]) -> None:
    """Print the milliseconds that the actions take, done in turn."""
    took = []
    for turn in range(REPEATS):
        page.evaluate("window.states = []")
        start = page.evaluate("performance.now()")
        actions[turn % len(actions)]()
        page.wait_for_function(SETTLED)
        took.append(page.evaluate(TOOK, start))
    print(f"{what:<45} median {statistics.median(took[1:]):5.0f} ms, longest {max(took[1:]):5.0f} ms", flush=True)


if __name__ == "__main__":
    main()
