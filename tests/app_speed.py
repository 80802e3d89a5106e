"""How long the app takes to answer, measured in headless Chromium from the click to the end of the script's run.

python tests/app_speed.py [--data FOLDER] [--reference FOLDER] [--images 50000]

`--reference` is a folder that the published code wrote; it is imported into the data folder where it is new. `--images`
also measures a run of that many ID images and half as many OOD ones: the bundled run's, over and over.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

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
    parser.add_argument("--images", type=int, default=0, help="ID images of a large run to measure, too.")
    options = parser.parse_args()
    os.environ["NEGREFINE_DATA"] = str((options.data or Path(tempfile.mkdtemp())).resolve())  # before paths.py reads it
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a file as well as with -m
    from tests.support.browser import ARGUMENTS, CHROMIUM, served

    if options.reference and not (Path(os.environ["NEGREFINE_DATA"]) / "runs" / "reference").exists():
        command = ["-m", "negrefine_core", "import-reference", str(options.reference), "--name", "reference"]
        subprocess.run([sys.executable, *command], check=True)
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(120_000)
        measure_bundled(page, address)
        if options.reference:
            measure_reference(page, address)
        if options.images:
            write_large_run(options.images)
            measure_large(page, address)
        browser.close()


def write_large_run(images: int) -> None:
    import numpy as np

    from negrefine_core.benchmarks.speed_many import drawn
    from negrefine_core.runs import Run, remove_image_set

    demo = Run.open("demo")
    if demo.folder.with_name("large").exists():
        return
    large, draw = demo.copy("large"), np.random.default_rng(0)
    tables = {name: demo.scores(name) for name in demo.scored_sets}
    for name in tables:
        remove_image_set(large, name)
    for name, rows in (("animals", images), ("objects", images // 2)):
        chunks = drawn(tables[name], rows, draw)
        large.write_scores(name, demo.image_root(name), chunks)
    large.set_role("animals", "ID")


def measure_bundled(page: Page, address: str) -> None:
    def button(name: str) -> Callable[[], None]:
        return lambda: page.get_by_role("button", name=name).first.click()

    def text(name: str) -> Callable[[], None]:
        return lambda: page.get_by_text(name).first.click()

    open_page(page, f"{address}/explore")
    timed(page, "Explore: a tile", button("OOD let in"))
    timed(page, "Explore: pages", button("chevron_right"), button("chevron_left"))
    timed(page, "Explore: threshold rules", text("Balanced"), text("95% of ID kept"))
    timed(page, "Explore: metrics, pictures", text("Metrics"), text("Pictures"))
    open_page(page, f"{address}/image")
    timed(page, "Image: next", key(page, "ArrowRight"))
    open_page(page, f"{address}/review?level=label")
    if page.get_by_role("button", name="Embed the labels").count():
        page.get_by_role("button", name="Embed the labels").click()
        page.get_by_test_id("stTableStyledTable").get_by_text("Images that flip").wait_for()
        open_page(page, f"{address}/review?level=label")
    timed(page, "Review: next", key(page, "ArrowRight"))
    timed(page, "Review: restore, with its effect", key(page, "s"))
    timed(page, "Review: undo, with its effect", key(page, "u"))
    open_page(page, f"{address}/compare")
    timed(page, "Compare: flip tiles", button("Broken"), button("Fixed"))
    open_page(page, f"{address}/classes")
    timed(page, "ID classes: steps", text("Refine and score"), text("Edit and re-mine"))
    open_page(page, f"{address}/score")
    timed(page, "Score: sources", text("Upload files or a zip"), text("Bundled pictures"))
    open_page(page, f"{address}/learn")
    timed(page, "Learn: steps", text("2. Negative labels from WordNet"), text("1. What similarity alone gets wrong"))


def measure_reference(page: Page, address: str) -> None:
    open_page(page, f"{address}/review?run=reference&level=label")
    timed(page, "Published run, Review: next", key(page, "ArrowRight"))
    timed(page, "Published run, Review: restore", key(page, "s"))
    timed(page, "Published run, Review: undo", key(page, "u"))
    open_page(page, f"{address}/review?run=reference&level=label&queue=kept")
    timed(page, "Published run, Review: next of the kept", key(page, "ArrowRight"))


def measure_large(page: Page, address: str) -> None:
    open_page(page, f"{address}/?run=large")
    timed(page, "Large run, Explore: a tile", lambda: page.get_by_role("button", name="OOD let in").first.click())
    timed(page, "Large run, Explore: next page", lambda: page.get_by_role("button", name="chevron_right").first.click())
    open_page(page, f"{address}/image?run=large")
    timed(page, "Large run, Image: next", key(page, "ArrowRight"))


def key(page: Page, name: str) -> Callable[[], None]:
    return lambda: page.keyboard.press(name)


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text("weights").wait_for()
    page.wait_for_selector('.stApp[data-test-script-state="notRunning"]')
    page.wait_for_timeout(20_000)  # what a page loads once, in the background
    page.evaluate(RECORD)


def timed(page: Page, what: str, *actions: Callable[[], None]) -> None:
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
