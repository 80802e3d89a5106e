"""The README's Python lines run as they are written, and what it names is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.jobs import HANG
from tests.support.project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=HANG)


@pytest.mark.slow
def test_the_readmes_python_lines_print_a_row_for_each_picture() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = _run(code)
    assert done.returncode == 0, done.stderr
    assert "cat" in done.stdout
    assert "sushi" in done.stdout


def test_the_readme_names_every_module_and_room_of_the_core() -> None:
    core = ROOT / "negrefine_core"
    modules = {path.stem for path in core.glob("[a-z]*.py")} - {"errors", "paths", "records", "hyperparameters"}
    rooms = {f"{path.parent.name}/" for path in core.glob("*/__init__.py")}
    assert modules | rooms <= set(re.findall(r"\w+/?", README[README.index("## What is where") :]))


def test_every_file_that_contributing_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:css|py|toml|zip))`", text)
    assert len(named) > 20
    assert not [file for file in named if not (ROOT / file).exists() and not (ROOT / "negrefine_core" / file).exists()]


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_readmes_commands_are_the_command_lines_own() -> None:
    commands = set(re.findall(r"(?:^|[/`])negrefine (\w[\w-]*)", README, re.MULTILINE))
    known = subprocess.run(
        [sys.executable, "-m", "negrefine_core", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert commands
    assert not [command for command in commands if command not in known]


def _pins(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


def test_the_tests_are_run_with_the_versions_that_the_app_is_installed_with() -> None:
    app, tests = _pins(ROOT / "requirements.txt"), _pins(ROOT / "tests" / "requirements.txt")
    assert {"streamlit", "torch", "open-clip-torch"} <= app.keys()
    assert {name: tests[name] for name in app} == app
    assert {"pytest", "ruff", "mypy"} <= tests.keys() - app.keys()
