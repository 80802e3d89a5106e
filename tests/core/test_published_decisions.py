"""The project's own decisions on the published rejections, and what the README says that they show."""

import csv
import subprocess
import sys

import pytest

from negrefine_core import overrides
from negrefine_core.run_files.bundled import PUBLISHED_RUN
from negrefine_core.runs import Run
from tests.support.jobs import HANG
from tests.support.project import ROOT

FOLDER = ROOT / "data" / "published"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.open(PUBLISHED_RUN, tmp_path_factory.mktemp("decided"))


@pytest.mark.slow
def test_the_decisions_are_imported_as_a_file_of_anyones_and_say_that_they_are_the_projects(run: Run) -> None:
    added, unknown = overrides.import_csv(run, FOLDER / "decisions.csv", "somebody")
    assert (len(added), unknown) == (118, [])
    assert {entry.who for entry in added} == {"NegRefine Explorer (the project's own)"}
    table = overrides.review_table(run)
    assert table["reviewed"].sum() == 118
    assert (table["overridden"] & (table["decision"] == overrides.KEPT)).sum() == table["overridden"].sum() == 53


def test_each_decision_has_a_reason_and_its_sample() -> None:
    with (FOLDER / "decisions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["reason"] for row in rows)
    samples = [row["sample"] for row in rows]
    assert {sample: samples.count(sample) for sample in samples} == {"doubt": 58, "random": 58, "random and doubt": 2}


@pytest.mark.slow
def test_the_readmes_table_of_clear_errors_is_what_the_decisions_give() -> None:
    command = [sys.executable, str(FOLDER / "measure.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert done.stdout in (ROOT / "README.md").read_text(encoding="utf-8")
