"""The wheel in an environment of its own, used from an empty folder: what is bundled is inside, and nobody's runs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.browser import free_port, wait_until_up
from tests.support.project import ROOT

pytestmark = pytest.mark.slow

SCORES = """
from negrefine_core import NegRefineDetector, load_encoder, paths

detector = NegRefineDetector(load_encoder("demo", device="cpu"), ["cat", "dog", "owl"], ["sushi", "keyboard"])
print(detector.score([paths.IMAGES / "animals" / "cat" / "1f408_new.png"])["id_labels"][0][0])
"""
JOB = """
import time
from negrefine_core import jobs

job = jobs.start(jobs.Spec(title="measure", run="demo", steps=(jobs.Evaluate(),)))
while job.state in jobs.ACTIVE:
    time.sleep(0.05)
print(job.state, job.error, *job.progress.messages)
"""
PATHS = """
from negrefine_core import paths

print(paths.portable(paths.IMAGES / "animals"), paths.from_portable("data/images/animals").is_dir())
"""
PAGE = """
from importlib.util import find_spec
from pathlib import Path
from streamlit.testing.v1 import AppTest

app = AppTest.from_file(str(Path(find_spec("negrefine_app").origin).with_name("main.py")), default_timeout=120).run()
assert not app.exception, app.exception
print(app.title[0].value)
"""


@dataclass(frozen=True)
class Installed:
    """The environment that the wheel is in, and the empty folder that it is used from."""

    venv: Path
    folder: Path

    @property
    def packages(self) -> Path:
        (folder,) = self.venv.glob("lib/python*/site-packages")
        return folder

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [self.venv / "bin" / program, *arguments],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def output(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self.venv / "bin" / program, *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """A new user's: nothing of the checkout, of the tests' data folder or of this user's settings."""
        kept = {name: value for name, value in os.environ.items() if name not in ("NEGREFINE_DATA", "PYTHONPATH")}
        return kept | {"HOME": str(self.folder.parent / "home"), "XDG_DATA_HOME": str(self.folder.parent / "data")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built from a copy that has runs and caches of its own; the libraries are those of the tests' environment."""
    folder = tmp_path_factory.mktemp("wheel")
    _copy_checkout(folder / "clone")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _done([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "clone")])
    _done([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")])
    made = Installed(folder / "venv", folder / "empty")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (made.packages / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    (wheel,) = folder.glob("*.whl")
    _done([*pip, "--python", str(folder / "venv"), "install", "--no-deps", "--no-index", str(wheel)])
    made.folder.mkdir()
    return made


def _copy_checkout(folder: Path) -> None:
    unwanted = shutil.ignore_patterns("__pycache__", "runs", "cache", "drafts")
    for name in ("negrefine_core", "app", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("runs/mine/run.json", "cache/features/x/texts.f32", "jobs/1/job.json", "reviewer.txt"):
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text("private", encoding="utf-8")


def _done(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_holds_what_is_bundled_and_takes_no_common_name(installed: Installed) -> None:
    data = installed.packages / "negrefine_data"
    assert {path.name for path in data.iterdir()} == {
        "class_folders", "demo_run.zip", "experiments.toml", "food-drink.zip", "images", "labels", "lexicon", "models",
        "published",
    }  # fmt: skip
    assert len(list(data.glob("images/*/**/*.png"))) == len(list(ROOT.glob("data/images/*/**/*.png")))
    names = installed.output(
        "python", "-c", "import importlib.util as u; print(u.find_spec('app'), u.find_spec('data'))"
    )
    assert names == "None None\n"


def test_every_package_of_the_checkout_is_in_it(installed: Installed) -> None:
    for name, folder in (("negrefine_core", "negrefine_core"), ("negrefine_app", "app")):
        inside = {path.relative_to(installed.packages / name) for path in (installed.packages / name).rglob("*.py")}
        assert inside == {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py")}


def test_the_command_works_on_the_bundled_run_and_model(installed: Installed) -> None:
    assert "negrefine run" in installed.output("negrefine", "--help")
    metrics = installed.output("negrefine", "evaluate", "--name", "demo", "--id", "animals", "--ood", "food")
    assert "food (114)" in metrics
    assert installed.output("python", "-c", SCORES) == "cat\n"
    assert list(installed.folder.iterdir()) == []  # the run was unpacked to the user's own folder


def test_a_run_file_means_the_bundled_pictures_here_and_in_a_clone(installed: Installed) -> None:
    assert installed.output("python", "-c", PATHS) == "data/images/animals True\n"


def test_a_job_in_the_background_finds_the_package(installed: Installed) -> None:
    assert installed.output("python", "-c", JOB).startswith("done  metrics of animals against")


def test_a_page_of_the_app_is_drawn(installed: Installed) -> None:
    assert installed.output("python", "-c", PAGE) == "NegRefine Explorer\n"


def test_the_app_listens_on_this_computer_alone_and_ends_by_ctrl_c(installed: Installed) -> None:
    port = free_port()
    server = installed.start("negrefine", "app", "--port", str(port))
    try:
        wait_until_up(f"http://127.0.0.1:{port}/_stcore/health", server)
        with pytest.raises(OSError, match=r"refused|assign|unreachable"):  # 127.0.0.2 is this computer too, on Linux
            socket.create_connection(("127.0.0.2", port), timeout=10)
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.wait()
