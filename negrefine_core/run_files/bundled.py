"""The finished runs that are shipped with the project as archives, in `data/`."""

import calendar
import lzma
import os
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import NegRefineError
from ..paths import BUNDLED, RUNS, temporary_folder, writing
from .logs import with_checks, without_checks

BUNDLED_RUN = "demo"
STORY_RUN = "food-drink"  # what the app opens on
PUBLISHED_RUN = "imagenet-qwen"


@dataclass(frozen=True)
class Bundled:
    """A run that comes with the project: its name, its archive in `data/`, and what a picker calls it; `decided` is
    the file there of what the project itself decided on its labels, if it did, and `judge` the language model of a
    published one."""

    name: str
    archive: str
    title: str
    decided: str = ""
    judge: str = ""


BUNDLED_RUNS = {
    run.name: run
    for run in (
        Bundled(STORY_RUN, "food-drink.zip", "food and drink"),
        Bundled(BUNDLED_RUN, "demo_run.zip", "demo"),
        Bundled(
            PUBLISHED_RUN,
            "published/imagenet-qwen.zip",
            "ImageNet-1K by Qwen2.5-14B",
            "published/decisions.csv",
            "Qwen2.5-14B",
        ),
    )
}


def bundled_runs() -> list[str]:
    """The names of those whose archive is there."""
    return [name for name, run in BUNDLED_RUNS.items() if (BUNDLED / run.archive).exists()]


def run_title(name: str) -> str:
    """What a picker calls a run: its name, unless it came with a better one."""
    return BUNDLED_RUNS[name].title if name in BUNDLED_RUNS else name


def bundled_decisions(name: str) -> Path | None:
    """The CSV file of what the project decided on a bundled run's labels; None where it did not."""
    file = BUNDLED_RUNS[name].decided if name in BUNDLED_RUNS else ""
    return BUNDLED / file if file else None


def unpack_bundled_run(name: str, runs: Path = RUNS) -> None:
    """Lay a bundled run beside the user's own runs, whole or not at all.

    Raises NegRefineError when the shipped archive is missing or damaged.
    """
    with writing(runs):
        runs.mkdir(parents=True, exist_ok=True)
    with writing(runs), temporary_folder(runs) as folder:
        try:
            unpack(BUNDLED / BUNDLED_RUNS[name].archive, folder / name)
            (folder / name).rename(runs / name)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
            if (runs / name / "run.json").exists():
                return  # another process was faster
            raise NegRefineError(
                f"the bundled run cannot be unpacked to {runs / name} ({error}); delete what is there, or install the "
                "project again where its archive is damaged"
            ) from error


def unpack(archive: Path, folder: Path) -> None:
    """Each file keeps its time: "scored on" is when it was, not today."""
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            file = Path(packed.extract(member, folder))
            if file.suffix == ".jsonl":
                file.write_bytes(with_checks(file.read_bytes()))
            made = calendar.timegm((*member.date_time, 0, 0, 0))
            os.utime(file, (made, made))


def pack(folder: Path, archive: Path) -> None:
    """Write an archive that `unpack` makes the same files of, without locks, and without the checks of the logs' lines:
    they follow from the lines, and nothing packs them."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not _is_passing(file))
    with zipfile.ZipFile(archive, "w") as packed:
        for file in files:
            content = file.read_bytes()
            member = zipfile.ZipInfo(file.relative_to(folder).as_posix(), time.gmtime(file.stat().st_mtime)[:6])
            bare = without_checks(content) if file.suffix == ".jsonl" else content
            packed.writestr(member, bare, zipfile.ZIP_LZMA)


def _is_passing(file: Path) -> bool:
    return file.name.startswith(".") or file.suffix == ".lock"
