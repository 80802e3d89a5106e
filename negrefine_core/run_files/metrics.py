"""`metrics.json`: each method's metrics on each OOD set, with bootstrap intervals, and the scores they are of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # before Python 3.12 pydantic reads no other

from ..errors import NegRefineError, UnfinishedError
from ..paths import write_atomically
from .checks import with_check, without_check
from .info import Role, first_fault


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
    """The file's content: the images counted by set, the figures by method and OOD set, and the hash of each set's
    scores that they were worked out from."""

    convention: NotRequired[str]
    id_set: str
    images: dict[str, int]
    methods: dict[str, dict[str, Figures]]
    scores: NotRequired[dict[str, str]]


_METRICS = TypeAdapter(Metrics)


def read_metrics(path: Path) -> Metrics:
    """Raises NegRefineError where the run was not evaluated, or the file is damaged."""
    if not path.exists():
        raise UnfinishedError(f"the run {path.parent.name!r} has no metrics yet; do the step 'evaluate' first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
        content, is_whole = without_check(content)
        if not is_whole:
            raise ValueError("it is not as it was written")
        return _METRICS.validate_python(content)
    except ValidationError as error:
        raise NegRefineError(f"{path} is damaged ({first_fault(error)}); evaluate again") from error
    except (OSError, ValueError, RecursionError) as error:
        raise NegRefineError(f"{path} is damaged ({error}); evaluate again") from error


def write_metrics(path: Path, metrics: Metrics) -> None:
    write_atomically(path, json.dumps(with_check(metrics), indent=1, ensure_ascii=False) + "\n")


def roles_in_metrics(path: Path) -> dict[str, Role]:
    """What the metrics took each image set for; nothing where there are none, or they are damaged."""
    try:
        metrics = read_metrics(path)
    except NegRefineError:
        return {}
    return {name: "ID" if name == metrics["id_set"] else "OOD" for name in metrics["images"]}
