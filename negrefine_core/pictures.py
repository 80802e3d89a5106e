"""Where the pictures of a scored image set lie: in its folder, whatever a run from elsewhere says; and the features
that were scored, which need no picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import NegRefineError
from .feature_store import known_features
from .run_files.scores import CONTENT
from .runs import Run
from .storage import fetched

if TYPE_CHECKING:
    from upath import UPath


def locate(run: Run, image_set: str, path: str) -> Path:
    """The picture's file; of one in a storage, a copy in the cache.

    A run's tables may come from elsewhere, so a path that leaves the set's folder is refused.

    Raises NegRefineError when the path leaves the folder or the file is gone.
    """
    root = run.image_root(image_set)
    if not belongs(run, image_set, path):
        raise NegRefineError(f"{path!r} lies outside the image set's folder and is not shown")
    if not isinstance(root, Path):
        return _fetched(root, path)
    try:
        if not (root / path).is_file():
            raise NegRefineError(f"the file is no longer there: {path!r} in {root}")
    except (OSError, ValueError) as error:
        raise NegRefineError(f"{path!r} is not a path") from error
    return root / path


def _fetched(root: "UPath", path: str) -> Path:
    try:
        return fetched(root / path)
    except OSError as error:
        raise NegRefineError(f"{path!r} in {root} cannot be read ({error})") from error


def belongs(run: Run, image_set: str, path: str) -> bool:
    """Whether a path of a run's table leads to a picture of its set, as far as a run from elsewhere can be believed.

    No set is the whole disk or named by a way up. Links in a person's own folder of pictures may lead anywhere; those
    in the run's folder came with the run, and must stay in it.
    """
    return belonging(run, image_set, [path])[0]


def belonging(run: Run, image_set: str, paths: Sequence[str]) -> list[bool]:
    """`belongs`, of many paths of a set at once."""
    root, own = run.image_root(image_set), run.folder.resolve()
    if not isinstance(root, Path):
        return [not {"", ".", ".."} & set(path.split("/")) for path in paths]
    if root == Path(root.anchor) or ".." in root.parts:
        return [False] * len(paths)
    try:
        is_own = root.resolve().is_relative_to(own)
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return [False] * len(paths)
    return [
        not path.startswith("/") and ".." not in path.split("/") and (not is_own or _stays(root / path, own))
        for path in paths
    ]


def _stays(file: Path, folder: Path) -> bool:
    try:
        return file.resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):
        return False


def scored_features(run: Run, image_set: str, files: Sequence[str], wanted: np.ndarray) -> np.ndarray | None:
    """(n, D) features of the wanted rows of a scored set with these files, as they were scored, also where a file is
    another by now; None where the cache lacks one, the scores are others by now, or do not say what the files held."""
    scores = run.sample(image_set, ["path", CONTENT])
    if CONTENT not in scores or scores["path"].tolist() != list(files):
        return None
    return known_features(run.info.fingerprint, scores[CONTENT].iloc[wanted].tolist())
