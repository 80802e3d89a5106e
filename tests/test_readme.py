"""The README's Python lines run as they are written, and what it names is there."""

import re
import subprocess
import sys

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


def test_the_readme_names_every_module_of_the_core() -> None:
    modules = {path.stem for path in (ROOT / "negrefine_core").glob("[a-z]*.py")}
    tree = README[README.index("## What is where") :]
    assert modules - {"errors", "paths", "records", "hyperparameters", "replay_judge", "verdict_cache"} <= set(
        re.findall(r"\w+", tree)
    )


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_readmes_commands_are_the_command_lines_own() -> None:
    commands = set(re.findall(r"python -m negrefine_core (\w[\w-]*)", README))
    known = subprocess.run(
        [sys.executable, "-m", "negrefine_core", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert commands
    assert not [command for command in commands if command not in known]
