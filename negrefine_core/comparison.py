"""Two sides compared, methods or runs: what the metrics differ by, which images flip, which negatives differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .methods import Negatives, method
from .metrics import Convention, evaluate, interval
from .negfilter import clean_negatives
from .overrides import DROPPED, changes, in_force, negatives_of
from .records import Negative
from .runs import Run

METRICS = ("auroc", "fpr95")
FIXED = "fixed"
BROKEN = "broken"
STILL_WRONG = "wrong"
STILL_RIGHT = "right"
GAINED, LOST, STILL_IN, STILL_OUT = "gained", "lost", "in", "out"


@dataclass(frozen=True)
class Difference:
    """One metric of two sides on the same images; `low` and `high` bound second - first with 95% confidence."""

    ood_set: str
    metric: str
    first: float
    second: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def metric_differences(
    table: pd.DataFrame, first: str, second: str, n: int = 1000, convention: Convention = "id-positive"
) -> list[Difference]:
    """AUROC and FPR@95 of two scores on each OOD set, and averaged, with the paired bootstrap over images.

    Args:
        table: one row an image: `image_set`, `is_id` and both scores.

    Raises NegRefineError when there are no ID or no OOD images.
    """
    by_set = table.sort_values("image_set", kind="stable")
    found = evaluate(by_set, (first, second), convention, n_bootstrap=n)
    rows = {(row.column, row.ood_set): row for row in found}
    names = list(dict.fromkeys(row.ood_set for row in found))
    differences = []
    for name in names if len(names) > 2 else names[:1]:  # the average of one set is no news
        one, two = rows[first, name], rows[second, name]
        for metric in METRICS:
            bounds = interval(two.draws[metric] - one.draws[metric])
            values = getattr(one, metric), getattr(two, metric)
            differences.append(Difference(name, metric, *values, bounds.low, bounds.high))
    return differences


def flips(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> NDArray[np.str_]:
    """(B,) what became of each image from the first side to the second: fixed, broken, still wrong or still right."""
    return np.select(
        [~first_right & second_right, first_right & ~second_right, first_right & second_right],
        [FIXED, BROKEN, STILL_RIGHT],
        STILL_WRONG,
    )


def crossings(first_accepts: NDArray[np.bool_], second_accepts: NDArray[np.bool_]) -> NDArray[np.str_]:
    """(B,) which sides take each image, of which nobody knows what it shows, for one of the classes."""
    return np.select(
        [~first_accepts & second_accepts, first_accepts & ~second_accepts, first_accepts & second_accepts],
        [GAINED, LOST, STILL_IN],
        STILL_OUT,
    )


def is_same_task(first: Run, second: Run) -> bool:
    """Whether two runs have the same ID classes, in whatever order: else their figures are those of two tasks."""
    ours, theirs = ({label.casefold() for label in run.id_labels} for run in (first, second))
    return ours == theirs


def label_diff(first: tuple[Run, str], second: tuple[Run, str]) -> pd.DataFrame:
    """The negatives of only one side (run, score's column): `label`, `pos`, `change` from the first side to the second
    ("removed" or "added"), and why the other side lacks it: `kind` and, of a rejection, the `id_label`."""
    sides = [(run, method(column).negatives) for run, column in (first, second)]
    ours, theirs = ({n.label: n for n in negatives_of(*side)} for side in sides)
    removed = _lacking(sides[1], (n for label, n in ours.items() if label not in theirs), "removed")
    added = _lacking(sides[0], (n for label, n in theirs.items() if label not in ours), "added")
    return pd.DataFrame([*removed, *added], columns=["label", "pos", "change", "kind", "id_label"])


def _lacking(side: tuple[Run, Negatives], negatives: Iterable[Negative], change: str) -> list[dict[str, str]]:
    """A row for each negative that a side does without, and why it does."""
    negatives = list(negatives)
    reasons = _reasons(*side) if negatives else {}
    ids = {label.casefold() for label in side[0].id_labels}
    rows = []
    for negative in negatives:
        default = ("ID class", negative.label) if negative.label.casefold() in ids else ("not mined", "")
        kind, id_label = reasons.get(negative.label, default)
        rows.append(
            {"label": negative.label, "pos": negative.pos, "change": change, "kind": kind, "id_label": id_label}
        )
    return rows


def _reasons(run: Run, kind: Negatives) -> Mapping[str, tuple[str, str]]:
    """label -> (why the negatives of this kind lack it, the ID label of a rejection)."""
    if kind == "mined":  # as they are mined, so that a cleaned name is new to them
        return {negative.label: ("cleaned", "") for negative in clean_negatives(run.initial_negatives)}
    if kind not in ("refined", "judged"):
        return {}
    reasons = {negative.label: ("cleaned", "") for negative in run.initial_negatives}
    reasons |= {label: (v.kind, v.id_label or "") for label, v in run.rejections.items()}
    if kind == "refined":
        dropped = (override.negative for override in changes(run.overrides) if override.new == DROPPED)
        reasons |= dict.fromkeys(dropped, ("dropped by a person", ""))
    else:
        rejected, decisions = run.rejections, in_force(run.overrides).values()
        restored = [rejected[o.negative] for o in decisions if o.new != DROPPED and o.negative in rejected]
        reasons |= {v.negative: (f"{v.kind}; restored by a person", v.id_label or "") for v in restored}
    return reasons
