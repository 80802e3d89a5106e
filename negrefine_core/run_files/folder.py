"""A run's folder: made, opened, copied and held by one process at a time; what was decided when it was made."""

import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from ..errors import NegRefineError
from ..labels import label_list
from ..paths import RUNS, file_state, sweep, temporary_folder, write_atomically, writing
from .bundled import BUNDLED_RUNS, unpack_bundled_run
from .id_labels import class_list_hash, read_id_labels, write_id_labels
from .info import RunInfo, Settings, read_info, write_info

LIBRARIES = ("torch", "open_clip_torch", "nltk", "scikit-learn")  # those that figures depend on
LOCK, LOCKS = ".lock", "locks"  # of the run while a file is replaced; of its long steps
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


class RunFolder:
    """The folder with its `run.json` and its ID labels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    @classmethod
    def create(cls, name: str, settings: Settings, id_labels: Sequence[str], runs: Path = RUNS) -> Self:
        """Make the run, or resume it where it was made with the same settings and ID labels.

        Raises NegRefineError when a run of that name was made with others, naming the difference.
        """
        _check_name(name)
        run, id_labels = cls(runs / name), label_list(id_labels)
        broken = [label for label in id_labels if "\n" in label]
        if broken:
            raise NegRefineError(f"the ID label {broken[0][:80]!r} holds a line break; give one class a label")
        with writing(run.folder):
            run.folder.mkdir(parents=True, exist_ok=True)
        sweep(run.folder)
        with run.locked():
            if not run.path("run.json").exists():
                run._begin(settings, id_labels)
        run._check_same(settings, id_labels)
        return run

    @classmethod
    def open(cls, name: str | Path, runs: Path = RUNS) -> Self:
        """Open a run by name or folder; a bundled run is unpacked when it is first asked for.

        Raises NegRefineError when there is no such run or its run.json is broken.
        """
        is_folder = isinstance(name, Path) or "/" in name
        if not is_folder and not is_run_name(str(name)):
            raise NegRefineError(f"no run {str(name)[:90]!r}; {_there(runs)}")
        folder = Path(name) if is_folder else runs / name
        if str(name) in BUNDLED_RUNS and not (folder / "run.json").exists():
            unpack_bundled_run(str(name), runs)
        if not (folder / "run.json").exists():
            raise NegRefineError(f"no run {folder.name!r} in {folder.parent}; {_there(runs)}")
        run = cls(folder)
        _ = run.settings
        for place in (folder.parent, folder, folder / "scores", folder / "images"):
            sweep(place)
        return run

    def copy(self, name: str) -> Self:
        """This run under another name beside it, to change without changing this one; resumed where it is there.

        Raises NegRefineError when a run of that name was made with other settings or ID labels.
        """
        _check_name(name)
        copied = type(self)(self.folder.with_name(name))
        if not copied.path("run.json").exists():
            with writing(copied.folder), temporary_folder(self.folder.parent) as folder, self.locked():
                shutil.copytree(self.folder, folder / name, ignore=shutil.ignore_patterns(".*", LOCKS))
                (folder / name).rename(copied.folder)
        copied._check_same(self.settings, self.id_labels)
        return copied

    def path(self, name: str) -> Path:
        return self.folder / name

    def state(self, *names: str, scores: Iterable[str] = ()) -> tuple[Any, ...]:
        """A key for what is worked out from these files and the scores of these image sets: it is another when one of
        them was replaced, and another run's is another too."""
        files = (*names, *(f"scores/{image_set}.parquet" for image_set in scores))
        return str(self.folder), *((name, file_state(self.path(name))) for name in files)

    @property
    def info(self) -> RunInfo:
        """What `run.json` holds; see `update_info`."""
        return read_info(self.path("run.json"))

    @cached_property
    def settings(self) -> Settings:
        return self.info.settings

    @property
    def id_labels(self) -> list[str]:
        return read_id_labels(self.path("id_labels.txt"), self.info.class_list_hash)

    def update_info(self, **values: object) -> None:
        """Write other values of these fields of `RunInfo` into `run.json`."""
        with self.locked():
            write_info(self.path("run.json"), self.info.changed(**values))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run from reading a file to writing it anew, while others wait: the app and a job may both write.

        Who holds it may hold it again.
        """
        with writing(self.path(LOCK)):
            lock = FileLock(self.path(LOCK), is_singleton=True).acquire()
        with lock:
            yield

    @contextmanager
    def doing(self, step: str) -> Iterator[None]:
        """Hold a long step of the run alone, while the run itself can be read and decided on.

        Raises NegRefineError where another process does the same step, naming it.
        """
        holder = self.path(LOCKS) / f"{step}.process"
        with writing(holder):
            holder.parent.mkdir(exist_ok=True)
            lock = FileLock(self.path(LOCKS) / f"{step}.lock", timeout=0, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                by = f"process {_text(holder)}" if holder.is_file() else "another process"
                raise NegRefineError(
                    f"the step '{step}' of the run {self.name!r} is being done by {by} right now; wait until it has "
                    "ended, or cancel it there"
                ) from None
        try:
            write_atomically(holder, str(os.getpid()))
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def _begin(self, settings: Settings, id_labels: Sequence[str]) -> None:
        write_id_labels(self.path("id_labels.txt"), id_labels)
        versions = {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}
        info = RunInfo(settings=settings, class_list_hash=class_list_hash(id_labels), versions=versions)
        write_info(self.path("run.json"), info)

    def _check_same(self, settings: Settings, id_labels: Sequence[str]) -> None:
        old, new = self.settings.model_dump(), settings.model_dump()
        changed = [f"{key} {old[key]!r} -> {new[key]!r}" for key in new if old[key] != new[key]]
        if list(id_labels) != self.id_labels:
            changed.append(f"ID labels ({len(self.id_labels)} -> {len(id_labels)} names)")
        if changed:
            raise NegRefineError(
                f"the run {self.name!r} was made with other settings: {'; '.join(changed)}. "
                "Choose another name, or delete its folder to start again"
            )


def is_run_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name))


def run_names(runs: Path = RUNS) -> list[str]:
    return sorted(path.parent.name for path in runs.glob("*/run.json"))


def _check_name(name: str) -> None:
    if not is_run_name(name):
        raise NegRefineError(f"{name!r} cannot name a run; use letters, digits, '_', '-' and '.', at most 80")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return "?"


def _there(runs: Path) -> str:
    return f"runs there: {', '.join(run_names(runs)) or 'none yet'}"
