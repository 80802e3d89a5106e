"""Whether the app stays as it is over a long use: every page clicked through in headless Chromium, over and over.

python tests/app_long.py [--minutes 10] [--data FOLDER]

Reports the server's memory and the browser's JavaScript heap at the start, after 2 minutes and at the end, and all that
the server's log or the browser's console says.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from playwright.sync_api import Error, Locator, Page, sync_playwright

SETTLE = 120  # seconds until the second reading: by then every page was loaded once
CLICKS = {
    "explore": ["OOD let in", "OOD let in", "chevron_right", "chevron_left"],
    "image": ["Next", "Previous"],
    "review": ["Skip", "Previous"],
    "compare": ["Broken", "Fixed"],
    "classes": [],
    "score": ["Upload files or a zip", "Bundled pictures"],
    "learn": ["2. Negative labels from WordNet", "1. What similarity alone gets wrong"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--data", type=Path, help="The data folder. Default: a new one.")
    options = parser.parse_args()
    os.environ["NEGREFINE_DATA"] = str((options.data or Path(tempfile.mkdtemp())).resolve())  # before paths.py reads it
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a file as well as with -m
    from tests.support.browser import ARGUMENTS, CHROMIUM, free_port, wait_until_up
    from tests.support.project import ROOT

    port, log = free_port(), Path(os.environ["NEGREFINE_DATA"]) / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(port)]
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until_up(f"http://127.0.0.1:{port}/_stcore/health", server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(60_000)
            walk(page, f"http://127.0.0.1:{port}", server.pid, 60 * options.minutes)
            browser.close()
    finally:
        server.terminate()
        server.wait()
    print(f"server's log:\n{log.read_text(encoding='utf-8', errors='replace')}")


def walk(page: Page, address: str, server: int, seconds: float) -> None:
    said: Counter[str] = Counter()
    page.on("console", lambda message: said.update([f"{message.type}: {message.text[:200]}"]))
    page.on("pageerror", lambda error: said.update([f"error: {str(error)[:200]}"]))
    heap = page.context.new_cdp_session(page)
    clicks, missed, rounds = 0, Counter(), 0
    page.goto(address)
    settled(page)
    start, readings = time.monotonic(), [("start", measured(heap, server))]
    while time.monotonic() < start + seconds:
        for name, controls in CLICKS.items():
            page.locator(f'[data-testid="stSidebarNavLink"][href$="/{name}"]').click()
            settled(page)
            clicks += 1
            for label in controls:
                try:
                    control(page, label).click(timeout=5_000)
                    clicks += 1
                except Error:
                    missed[f"{name}: {label}"] += 1
                settled(page)
            if len(readings) == 1 and time.monotonic() > start + SETTLE:
                readings.append(("after 2 minutes", measured(heap, server)))
        rounds += 1
    readings.append(("end", measured(heap, server)))
    print(
        f"{clicks:,} clicks in {rounds:,} rounds, {(time.monotonic() - start) / 60:.1f} minutes; missed: {dict(missed)}"
    )
    for when, (memory, used) in readings:
        print(f"{when:<16} server {memory:6.0f} MB, browser's heap {used:5.1f} MB")
    print(f"browser's console: {dict(said) or 'nothing'}")


def control(page: Page, label: str) -> Locator:
    """A button by what is written on it, of whichever kind it is."""
    button = page.get_by_role("button", name=label).or_(page.get_by_role("radio", name=label))
    return button.or_(page.locator("button", has_text=label)).first


def settled(page: Page) -> None:
    page.wait_for_timeout(300)
    page.locator('.stApp[data-test-script-state="notRunning"]').wait_for()


def measured(heap: object, server: int) -> tuple[float, float]:
    """The server's resident memory and the browser's heap after collecting garbage, in MB."""
    heap.send("HeapProfiler.collectGarbage")
    used = heap.send("Runtime.getHeapUsage")["usedSize"]
    return psutil.Process(server).memory_info().rss / 1e6, used / 1e6


if __name__ == "__main__":
    main()
