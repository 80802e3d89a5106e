"""The jobs' folders, and the queue of each device: start, watch, cancel and resume."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from .. import paths
from ..errors import NegRefineError
from .spec import Progress, Spec, State

_PROGRESS = TypeAdapter(Progress)
JOBS = paths.DATA / "jobs"
KEPT = 20  # ended jobs
GRACE = 1.0  # seconds from asking a worker to stop to killing it
GONE = 30.0  # seconds that a killed worker may take to be gone: a moment, unless the machine is very busy
LEAVE = 60.0  # seconds that a worker may take to go once its work is done or has failed
STOPPED = 143  # a worker's exit code where a person has ended the job
ACTIVE = ("queued", "running")
KEY = "OPENAI_API_KEY"


class Job:
    """One job's folder; every property reads it anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name

    @cached_property
    def spec(self) -> Spec:
        try:
            return Spec.model_validate_json((self.folder / "job.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise NegRefineError(f"{self.folder / 'job.json'} cannot be read; delete that folder") from error

    @property
    def progress(self) -> Progress:
        try:
            return _PROGRESS.validate_json((self.folder / "progress.json").read_bytes())
        except (OSError, ValidationError):
            return Progress("queued", 0.0)  # the process died before it began

    @property
    def is_alive(self) -> bool:
        """Whether a worker holds the lock: unlike its process id, a lock is never another's, and ends with it."""
        try:
            with (self.folder / "lock").open("rb") as file:
                return not _locked(file.fileno(), fcntl.LOCK_SH)
        except OSError:
            return False

    @property
    def state(self) -> State:
        alive = self.is_alive  # before the progress: a worker writes its end before it goes
        state = self.progress.state
        if alive or state not in ACTIVE:
            return state
        return "cancelled" if self.is_to_stop else "interrupted"

    @property
    def error(self) -> str:
        return self.progress.error

    def write(self, progress: Progress) -> None:
        """For who holds the lock alone."""
        path, content = self.folder / "progress.json", json.dumps(asdict(progress))
        try:
            paths.write_atomically(path, content)
        except (OSError, NegRefineError):  # a full disk: the old file's own room still takes it
            with contextlib.suppress(OSError), path.open("r+b") as file:
                file.write(content.encode())
                file.truncate()

    @property
    def is_to_stop(self) -> bool:
        """Whether a person has ended the job; its worker looks at it again and again."""
        return (self.folder / "cancelled").exists()

    def cancel(self) -> None:
        """End the job: the worker is asked to stop, and killed if it does not. Everything finished is kept."""
        if self.state not in ACTIVE:
            return
        with contextlib.suppress(OSError):
            (self.folder / "cancelled").touch()
        for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GONE)):
            deadline, told = time.monotonic() + patience, False
            while self.is_alive:
                told = told or self._signal(number)
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            else:
                return
        raise NegRefineError(f"the job {self.spec.title!r} cannot be stopped; end its process by hand")

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the worker's group; False where its process id is not known (yet), or is another's."""
        try:
            worker = int((self.folder / "lock").read_text())
            process = Path(f"/proc/{worker}")
            is_other = process.exists() and os.fsencode(self.folder.name) not in (process / "cmdline").read_bytes()
            if worker <= 1 or worker == os.getpgrp() or is_other:
                return False
            os.killpg(worker, number)
        except (OSError, ValueError, OverflowError):
            return False
        return True

    @property
    def is_dismissed(self) -> bool:
        """Whether a person has read how the job ended, and wants to see no more of it."""
        return (self.folder / "dismissed").exists()

    def dismiss(self) -> None:
        with contextlib.suppress(OSError):
            (self.folder / "dismissed").touch()

    def note_worker(self) -> None:
        """For the worker: its starter may have died before it wrote the process id."""
        with (self.folder / "lock").open("r+b") as file:
            file.write(str(os.getpid()).encode())

    def resume(self, api_key: str = "") -> None:
        """Do the same steps again; what is finished is found and not done twice. Nothing happens while it runs.

        Raises NegRefineError where a worker that has ended its work does not go, or the folder cannot be written.
        """
        try:
            self._resume(api_key)
        except OSError as error:
            raise NegRefineError(f"cannot start the job in {self.folder} ({error}); delete that folder") from error

    def _resume(self, api_key: str) -> None:
        paths.sweep(self.folder.parent)  # of what the first start left where it was killed
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        with open(lock, "r+b", buffering=0) as file:
            deadline = time.monotonic() + LEAVE
            while not _locked(file.fileno(), fcntl.LOCK_EX):
                if self.state in ACTIVE:
                    return
                if time.monotonic() > deadline:
                    raise NegRefineError(f"the process of {self.spec.title!r} is still ending; try again in a moment")
                time.sleep(0.02)
            for mark in ("cancelled", "dismissed"):
                (self.folder / mark).unlink(missing_ok=True)
            self.write(Progress("queued", time.time()))
            file.truncate(0)  # of the former worker's process id
            environment = os.environ | {"NEGREFINE_DATA": str(paths.DATA)} | ({KEY: api_key} if api_key else {})
            with (self.folder / "log").open("ab") as log:
                worker = subprocess.Popen(  # noqa: S603 - our own module, whatever lies in the folder it starts in
                    [sys.executable, "-P", "-m", "negrefine_core.jobs.worker", str(self.folder)],
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[file.fileno()],  # the worker holds the lock from its first moment
                )
            file.write(str(worker.pid).encode())
        threading.Thread(target=worker.wait, daemon=True).start()  # leaves no zombie


def start(spec: Spec, api_key: str = "") -> Job:
    """Start a job, or put it in the queue of its device. `api_key` goes to the worker's environment alone."""
    ended = [job for job in all_jobs() if job.state not in ACTIVE]
    for job in ended[KEPT - 1 :]:
        shutil.rmtree(job.folder, ignore_errors=True)
    job = Job(JOBS / f"{time.time_ns()}-{secrets.token_hex(3)}")
    with paths.writing(job.folder):
        JOBS.mkdir(parents=True, exist_ok=True)
        with paths.temporary_folder(JOBS) as folder:  # a starter that is killed leaves no folder without its job
            paths.write_atomically(folder / job.id / "job.json", spec.model_dump_json(indent=1) + "\n")
            (folder / job.id).rename(job.folder)
    job.resume(api_key)
    return job


def all_jobs() -> list[Job]:
    """Every job, the newest first; damaged ones are left out."""
    jobs = [Job(path.parent) for path in sorted(JOBS.glob("*/job.json"), reverse=True)]
    return [job for job in jobs if _is_whole(job)]


def active() -> list[Job]:
    """The queued and running jobs, the newest first."""
    return [job for job in all_jobs() if job.state in ACTIVE]


def measured_rates(device: str) -> dict[str, float]:
    """What earlier jobs on the device measured, in items a second by pace: the newest of each."""
    rates: dict[str, float] = {}
    for progress in (job.progress for job in all_jobs()):
        if progress.device == device:
            rates = {**progress.rates, **rates}
    return {pace: rate for pace, rate in rates.items() if rate > 0}


def find(identity: str) -> Job | None:
    return next((job for job in all_jobs() if job.id == identity), None)


def _is_whole(job: Job) -> bool:
    try:
        return bool(job.spec)
    except NegRefineError:
        return False


def is_next(job: Job, device: str) -> bool:
    """Whether no job that was queued before waits for, or runs on, this device."""
    mine = (job.progress.queued, job.id)
    return not any(
        (other.progress.queued, other.id) < mine and other.progress.device in ("", device)
        for other in active()
        if other.id != job.id
    )


@contextlib.contextmanager
def device_turn(job: Job, device: str) -> Iterator[None]:
    """Wait in the queue of a device, then have it alone."""
    lock = JOBS / f"{device.replace(':', '-')}.lock"
    with paths.writing(lock):
        file = lock.open("a")
    with file:
        while not (is_next(job, device) and _locked(file.fileno(), fcntl.LOCK_EX)):
            if job.is_to_stop:
                sys.exit(STOPPED)
            time.sleep(0.1)
        yield


def _locked(file: int, kind: int) -> bool:
    """Take a lock, shared or exclusive, until the file is closed; False where another process has it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
