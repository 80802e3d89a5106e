"""A server's key goes to the server, and into no file, log or message: whether the questions succeed or fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from negrefine_core import jobs, paths
from tests.support.jobs import HANG, until
from tests.support.loopback_server import Action, LoopbackServer, says_no
from tests.support.project import ROOT
from tests.support.runs import refined_run

KEY = "sk-negrefine-7f3a9c0d-secret"

pytestmark = pytest.mark.usefixtures("no_jobs_left")


def refuses(prompt: str) -> Action:
    """A server that repeats the key in its error, as some do."""
    return Action(status=400, body='{"error": {"message": "Incorrect API key provided: ' + KEY + '"}}')


def found_in_files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize(("behave", "code"), [(says_no, 0), (refuses, 1)], ids=["answers", "refuses"])
def test_the_command_line_writes_the_key_nowhere(behave: object, code: int, tiny_model: str, tmp_path: Path) -> None:
    run = refined_run(f"keys{code}", tiny_model)
    environment = os.environ | {"NEGREFINE_DATA": str(paths.DATA), "OPENAI_API_KEY": KEY}
    with LoopbackServer(behave) as server:  # type: ignore[arg-type]
        command = [
            "refine",
            "--name",
            run.name,
            "--judge",
            "openai",
            "--judge-model",
            "m",
            "--base-url",
            server.url,
            "-y",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "negrefine_core", *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANG,
        )
        assert any(KEY in head for head in server.headers), done.stderr
    assert done.returncode == code, done.stderr
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert found_in_files(paths.DATA) == []


@pytest.mark.slow
@pytest.mark.parametrize(("behave", "state"), [(says_no, "done"), (refuses, "failed")], ids=["answers", "refuses"])
def test_a_job_of_the_app_writes_the_key_nowhere(behave: object, state: str, tiny_model: str) -> None:
    run = refined_run(f"keys-{state}", tiny_model)
    with LoopbackServer(behave) as server:  # type: ignore[arg-type]
        step = jobs.Refine(judge=f"openai:m@{server.url}")
        job = jobs.start(jobs.Spec(title="Refine", run=run.name, steps=(step,)), KEY)
        until(lambda: job.state not in jobs.ACTIVE)
        assert any(KEY in head for head in server.headers)
    assert job.state == state
    assert KEY not in repr(job.progress)
    assert found_in_files(paths.DATA) == []
