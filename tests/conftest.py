"""What the tests share: a data folder of their own, a tiny CLIP with random weights, a server of the app and Chromium,
and the golden figures."""

import os
import tempfile

os.environ["NEGREFINE_DATA"] = tempfile.mkdtemp(prefix="negrefine-tests-")  # before paths.py reads it
os.environ["HF_HUB_OFFLINE"] = "1"  # no network in tests
os.environ["OMP_NUM_THREADS"] = "1"  # models this small only lose by threads, here and in the processes tests start

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, sync_playwright

from negrefine_core import paths
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.lexicon import WordNet
from tests.support.browser import ARGUMENTS, CHROMIUM, WAIT, served
from tests.support.jobs import HANG, cancel_all
from tests.support.models import TINY, write_model
from tests.support.project import GOLDEN, ROOT

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore Ctrl-C


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with slow tests come first: no process is left with one of them while the others are done.

    Where there is no Chromium, the tests that need it say that they are skipped.
    """
    if not CHROMIUM.exists():
        reason = pytest.mark.skip(reason=f"needs Debian's Chromium at {CHROMIUM}")
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(reason)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: slow[item.path], reverse=True)


@pytest.fixture(scope="session", autouse=True)
def _data_folder() -> Iterator[None]:
    yield
    shutil.rmtree(paths.DATA, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the tiny model."""
    folder = tmp_path_factory.mktemp("tiny")
    write_model(folder, TINY)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> str:
    return f"local-dir:{tiny_folder}"


@pytest.fixture(scope="session")
def encoder(tiny_model: str) -> OpenClipEncoder:
    return OpenClipEncoder(tiny_model, device="cpu")


@pytest.fixture
def cached(encoder: OpenClipEncoder, tmp_path: Path) -> CachedEncoder:
    """The tiny model with an empty cache."""
    return CachedEncoder(encoder, tmp_path / "features")


@pytest.fixture(scope="session")
def wordnet() -> WordNet:
    return WordNet()


@pytest.fixture(scope="session")
def cold_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the README's `run` command, done once from cold for all the processes of a session."""
    own = tmp_path_factory.getbasetemp()
    everyones = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = everyones / "cold"
    with FileLock(everyones / "cold.lock"):
        if not (everyones / "cold.done").exists():
            environment = os.environ | {"NEGREFINE_DATA": str(folder)}
            environment.pop("OMP_NUM_THREADS")
            command = [sys.executable, "-m", "negrefine_core", "run"]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3 * HANG)
            assert done.returncode == 0, done.stderr
            (everyones / "cold.done").touch()
    return folder


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """A server of the app, over the tests' data folder: its first page takes seconds, as it imports torch."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Until a module ends: while it is there, no test of the process can run an event loop of its own."""
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


@pytest.fixture
def no_jobs_left() -> Iterator[None]:
    """Ends what a test leaves at work in the background."""
    yield
    cancel_all()


@pytest.fixture(scope="session")
def golden() -> Path:
    if not GOLDEN.is_dir():
        pytest.skip("the golden figures are not beside this checkout (../shared/golden)")
    return GOLDEN
