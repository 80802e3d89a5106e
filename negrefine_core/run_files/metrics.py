"""`metrics.json`: each method's metrics on each OOD set, with bootstrap intervals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from ..errors import NegRefineError
from ..paths import write_atomically


class Figures(TypedDict):
    """A method's metrics on an OOD set, with 95% intervals as (low, high); the average of the sets has no threshold."""

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95: float
    threshold95: NotRequired[float]
    auroc_interval: Sequence[float]
    fpr95_interval: Sequence[float]


class Metrics(TypedDict):
    """The file's content: the images counted by set, and the figures by method and OOD set."""

    convention: str
    id_set: str
    images: dict[str, int]
    methods: dict[str, dict[str, Figures]]


def read_metrics(path: Path) -> Metrics:
    """Raises NegRefineError where the run was not evaluated, or the file is damaged."""
    if not path.exists():
        raise NegRefineError(f"the run {path.parent.name!r} has no metrics yet; do the step 'evaluate' first")
    try:
        metrics: Metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NegRefineError(f"{path} is damaged ({error}); evaluate again") from error
    return metrics


def write_metrics(path: Path, metrics: Metrics) -> None:
    write_atomically(path, json.dumps(metrics, indent=1, ensure_ascii=False) + "\n")


def drop_exchanged(path: Path, image_set: str, is_id: bool) -> None:
    """Delete metrics that took an image set for ID where it is not, or the other way round; damaged ones stay."""
    try:
        metrics = read_metrics(path)
    except NegRefineError:
        return
    if image_set in metrics["images"] and (metrics["id_set"] == image_set) != is_id:
        path.unlink(missing_ok=True)
