"""Background jobs in tests: waiting for what they do, and leaving none behind."""

import time
from collections.abc import Callable
from dataclasses import asdict

from negrefine_core import jobs

HANG = 600  # seconds until a test that waits gives up: it ends a hang, and no busy machine is as slow as that


def until(condition: Callable[[], object], seconds: float = HANG) -> None:
    """Wait for the condition; where it never comes, fail with the state of every job."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, [
            (job.spec.title, job.state, asdict(job.progress)) for job in jobs.all_jobs()
        ]
        time.sleep(0.02)


def cancel_all() -> None:
    """End every job that is still at work."""
    for job in jobs.active():
        job.cancel()
