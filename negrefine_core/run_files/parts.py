"""`parts/IMAGE_SET/NUMBER-CONTENT.parquet`: the pieces of an image set that are scored while others are not.

Each is a file as `scores.py` writes it, with its check; its name holds the hash of what it was made from, the pictures'
contents among it. They go when the set's scores are written.
"""

import re
import shutil
from pathlib import Path

import pandas as pd

from ..errors import NegRefineError
from .scores import ScoresInfo, columns_of, read_scores, read_scores_info, write_scores

_NAME = re.compile(r"(\d{8})-([0-9a-f]{32})\.parquet")
Skipped = tuple[tuple[str, str], ...]


class Parts:
    """The kept pieces of one image set; `known` has the hash of each, by its number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.known: dict[int, str] = {}
        for path in sorted(folder.glob("*.parquet")):
            self._take(path)

    def _take(self, path: Path) -> None:
        """One that is damaged, or of a number that is there twice, is made anew."""
        name = _NAME.fullmatch(path.name)
        try:
            if not name or int(name[1]) in self.known or not read_scores_info(path):
                path.unlink()
                return
        except NegRefineError:
            path.unlink()
            return
        self.known[int(name[1])] = name[2]

    def keep(self, number: int, made_from: str, table: pd.DataFrame, image_set: str, skipped: Skipped) -> None:
        """A piece without a readable picture leaves no file: its few reasons are found again."""
        self.drop(number)
        describe = ScoresInfo(image_set=image_set, root="", skipped=skipped)
        if write_scores(self._path(number, made_from), [table], lambda: describe):
            self.known[number] = made_from

    def read(self, number: int) -> tuple[pd.DataFrame, Skipped]:
        """Raises NegRefineError where it was damaged meanwhile."""
        path = self._path(number, self.known[number])
        info = read_scores_info(path)
        return read_scores(path, columns_of(path)), info.skipped if info else ()

    def drop(self, number: int) -> None:
        if number in self.known:
            self._path(number, self.known.pop(number)).unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int, made_from: str) -> Path:
        return self._folder / f"{number:08d}-{made_from}.parquet"
