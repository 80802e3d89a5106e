"""Maps of a run's images and of its labels, kept in the cache by what they were made from."""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import maps, paths
from .errors import NegRefineError
from .maps import Projection
from .pictures import scored_features
from .progress import Progress
from .run_files.checks import digest
from .runs import Run

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 2  # of how maps are made
FeaturesOf = Callable[[str, Sequence[str], np.ndarray], tuple[np.ndarray, "Tensor"]]


@dataclass(frozen=True)
class Map:
    """The `places` (n, 2) of what stands in these `rows` (n,): of the images in the scores of the image sets, joined in
    their order, or of the labels."""

    rows: np.ndarray
    places: np.ndarray


def of_images(run: Run, image_sets: Sequence[str], how: Projection) -> str:
    """The key of the map of these image sets. Raises NegRefineError for a run without a model."""
    if not run.info.fingerprint:
        raise NegRefineError(
            f"The run {run.name!r} was imported without a model, so there are no features to draw a map by. Choose "
            "another run under “Run” in the sidebar."
        )
    sets = [(name, _version(run, name)) for name in image_sets]
    return digest(json.dumps([VERSION, how, maps.MOST[how], run.info.fingerprint, sets]))


def _version(run: Run, image_set: str) -> object:
    """What tells its scores from others: their check, or the file's state where they are of before they had one."""
    info = run.scores_info(image_set)
    return info.check if info else paths.file_state(run.path(f"scores/{image_set}.parquet"))


def draw_images(
    run: Run,
    image_sets: Sequence[str],
    how: Projection,
    features_of: FeaturesOf,
    progress: Progress | None = None,
) -> Map:
    """The map of the images, or of a sample where they are too many, of each set in proportion; kept.

    Where the cache lacks features that were scored, `features_of` gives, of an image set with these paths, which of the
    wanted rows have features (n,) and these (n, D). Raises NegRefineError where the map cannot be kept.
    """
    files = {name: run.sample(name, ["path"])["path"].tolist() for name in image_sets}
    sets = np.repeat(np.arange(len(files)), [len(each) for each in files.values()])  # (n,) of all images, joined
    rows, features = features_to_compare(run, files, maps.sample(sets, maps.MOST[how]), features_of)
    made = Map(rows, maps.projected(how, features, progress))
    keep(of_images(run, image_sets, how), made)
    return made


def features_to_compare(
    run: Run, files: Mapping[str, Sequence[str]], rows: np.ndarray, features_of: FeaturesOf
) -> tuple[np.ndarray, np.ndarray]:
    """Of scored image sets with these files, joined: (those of these rows (n,) that have features, these (n, D)).

    To compare with each other alone: they are as they were scored, in whatever precision, and need no torch where the
    cache has them. Else they are those that `features_of` gives, as for `draw_images`.
    """
    kept, parts, start = [], [], 0
    for name, each in files.items():
        wanted = rows[(rows >= start) & (rows < start + len(each))] - start
        scored = scored_features(run, name, each, wanted)
        there, features = (wanted, scored) if scored is not None else features_of(name, each, wanted)
        kept.append(start + there)
        parts.append(np.asarray(features))
        start += len(each)
    return np.concatenate(kept), np.concatenate(parts)


def read(key: str) -> Map | None:
    """A map that was made before; None where there is none, or it is damaged."""
    try:
        with np.load(_path(key), allow_pickle=False) as kept:
            rows, places, check = kept["rows"], kept["places"], str(kept["check"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return None
    return Map(rows, places) if check == _check(rows, places) else None


def keep(key: str, made: Map) -> None:
    """Raises NegRefineError where it cannot be written."""
    content = io.BytesIO()
    np.savez(content, rows=made.rows, places=made.places, check=np.array(_check(made.rows, made.places)))
    paths.write_atomically(_path(key), content.getvalue())


def _check(rows: np.ndarray, places: np.ndarray) -> str:
    return digest(f"{rows.dtype}{rows.shape}{places.dtype}{places.shape}".encode() + rows.tobytes() + places.tobytes())


def _path(key: str) -> Path:
    return paths.CACHE / "maps" / f"{key}.npz"
