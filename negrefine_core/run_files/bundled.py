"""The finished run that is shipped with the project as an archive, and the name of the paper's own."""

import calendar
import os
import zipfile
from pathlib import Path

from ..errors import NegRefineError
from ..paths import BUNDLED, RUNS, temporary_folder, writing

BUNDLED_RUN = "demo"
PUBLISHED_RUN = "published"  # the decisions of the paper's language model, once `import-reference` has made it of them


def unpack_bundled_run(runs: Path = RUNS) -> None:
    """Lay the bundled run beside the user's own runs, whole or not at all.

    Raises NegRefineError when the shipped archive is missing or damaged.
    """
    with writing(runs):
        runs.mkdir(parents=True, exist_ok=True)
    with writing(runs), temporary_folder(runs) as folder:
        try:
            _extract(BUNDLED / "demo_run.zip", folder / BUNDLED_RUN)
            (folder / BUNDLED_RUN).rename(runs / BUNDLED_RUN)
        except (OSError, zipfile.BadZipFile) as error:
            if (runs / BUNDLED_RUN / "run.json").exists():
                return  # another process was faster
            raise NegRefineError(
                f"the bundled run cannot be unpacked to {runs / BUNDLED_RUN} ({error}); make it again with "
                "negrefine run --name mine"
            ) from error


def _extract(archive: Path, folder: Path) -> None:
    """Each file keeps its time: "scored on" is when it was, not today."""
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            file = packed.extract(member, folder)
            made = calendar.timegm((*member.date_time, 0, 0, 0))
            os.utime(file, (made, made))
