"""Maps of a run's images, kept in the cache by what they were made from: the model, and the images' scores."""

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import paths
from .errors import NegRefineError
from .run_files.checks import digest
from .runs import Run

VERSION = 1  # of how maps are made


@dataclass(frozen=True)
class ImageMap:
    """The `places` (n, 2) of the images at these `rows` (n,) of the image sets' scores, joined in their order."""

    rows: np.ndarray
    places: np.ndarray


def read_map(run: Run, image_sets: Sequence[str], most: int) -> ImageMap | None:
    """A map of at most so many images that was made before; None where there is none, or it is damaged."""
    path = _path(run, image_sets, most)
    try:
        with np.load(path, allow_pickle=False) as kept:
            rows, places, check = kept["rows"], kept["places"], str(kept["check"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return None
    return ImageMap(rows, places) if check == _check(rows, places) else None


def keep_map(run: Run, image_sets: Sequence[str], most: int, made: ImageMap) -> None:
    """Raises NegRefineError where it cannot be written."""
    content = io.BytesIO()
    np.savez(content, rows=made.rows, places=made.places, check=np.array(_check(made.rows, made.places)))
    paths.write_atomically(_path(run, image_sets, most), content.getvalue())


def _check(rows: np.ndarray, places: np.ndarray) -> str:
    return digest(f"{rows.dtype}{rows.shape}{places.dtype}{places.shape}".encode() + rows.tobytes() + places.tobytes())


def _path(run: Run, image_sets: Sequence[str], most: int) -> Path:
    """Raises NegRefineError for a run without a model."""
    if not run.info.fingerprint:
        raise NegRefineError(
            f"The run {run.name!r} was imported without a model, so there are no features to draw a map by. Choose "
            "another run under “Run” in the sidebar."
        )
    made_from = [VERSION, most, run.info.fingerprint, [(name, _version(run, name)) for name in image_sets]]
    return paths.CACHE / "maps" / f"{digest(json.dumps(made_from))}.npz"


def _version(run: Run, image_set: str) -> object:
    """What tells its scores from others: their check, or the file's state where they are of before they had one."""
    info = run.scores_info(image_set)
    return info.check if info else paths.file_state(run.path(f"scores/{image_set}.parquet"))
