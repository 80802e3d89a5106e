"""A drawn part of the faults; `python -m tests.faults` tries them all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.outcome import BAD
from tests.support.project import ROOT

MOST = 1  # of each step and file


@pytest.mark.slow
def test_a_drawn_part_of_the_faults_leaves_nothing_silently_wrong(tmp_path: Path) -> None:
    """In a process of its own: the faults take away data folders, and this process's is other tests' too."""
    drawn = ["--seed", "1", "--most", str(MOST), "--kinds", "step,damage", "--processes", "2"]
    command = [sys.executable, "-m", "tests.faults", *drawn, "--json", str(tmp_path / "outcomes.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    assert done.returncode == 0, said
    outcomes = json.loads((tmp_path / "outcomes.json").read_text(encoding="utf-8"))
    assert len(outcomes) > 25
    assert [outcome for outcome in outcomes if outcome["verdict"] in BAD] == []
