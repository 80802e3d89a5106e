"""Two sides compared (methods, runs, judges): what the metrics differ by, which images flip, which negatives differ."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .judges.decided import Decided
from .methods import Negatives, method
from .metrics import Convention, evaluate, interval
from .negfilter import clean_negatives
from .overrides import DROPPED, changes, in_force, negatives_of
from .records import Negative, Verdict
from .runs import Run

METRICS = ("auroc", "fpr95")
FIXED = "fixed"
BROKEN = "broken"
STILL_WRONG = "wrong"
STILL_RIGHT = "right"
DIFFERENT = ["label", "pos", "change", "kind", "id_label", "is_decided"]
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


@dataclass(frozen=True)
class Reason:
    """Why a side lacks a negative: `kind` in words, of a rejection its `id_label`, and whether somebody decided it, a
    judge or a person."""

    kind: str
    id_label: str = ""
    is_decided: bool = True


CLEANED = Reason("cleaned", is_decided=False)
NOT_MINED = Reason("not mined", is_decided=False)
DROPPED_BY_A_PERSON = Reason("dropped by a person")


def label_diff(first: tuple[Run, str], second: tuple[Run, str]) -> pd.DataFrame:
    """The negatives of only one side (run, score's column): `label`, `pos`, `change` from the first side to the second
    ("removed" or "added"), and the `Reason` why the other side lacks it: `kind`, `id_label` and `is_decided`."""
    before, after = ((run, method(column).negatives) for run, column in (first, second))
    ours, theirs = negatives_of(*before), negatives_of(*after)
    removed, added = _without(ours, theirs), _without(theirs, ours)
    rows = _lacking(after[0], _reasons(*after) if removed else {}, removed, "removed")
    rows += _lacking(before[0], _reasons(*before) if added else {}, added, "added")
    return pd.DataFrame(rows, columns=DIFFERENT)


def judged_diff(run: Run, first: Decided, second: Decided) -> pd.DataFrame:
    """The negatives of a run that only one of two judges keeps, as `label_diff` has them, by the other's verdict."""
    ours, theirs = first.kept(run), second.kept(run)
    rows = _lacking(run, _rejected(second.rejections), _without(ours, theirs), "removed")
    rows += _lacking(run, _rejected(first.rejections), _without(theirs, ours), "added")
    return pd.DataFrame(rows, columns=DIFFERENT)


def _without(negatives: Iterable[Negative], others: Iterable[Negative]) -> list[Negative]:
    """Those that are not among the others, by label."""
    there = {negative.label for negative in others}
    return list({n.label: n for n in negatives if n.label not in there}.values())


def _lacking(
    run: Run, reasons: Mapping[str, Reason], negatives: Iterable[Negative], change: str
) -> list[dict[str, object]]:
    """A row for each negative that a side, of this run, does without, and why it does."""
    ids = {label.casefold() for label in run.id_labels}
    rows = []
    for negative in negatives:
        label = negative.label
        default = Reason("ID class", label, is_decided=False) if label.casefold() in ids else NOT_MINED
        reason = reasons.get(label, default)
        rows.append({"label": label, "pos": negative.pos, "change": change} | asdict(reason))
    return rows


def _rejected(rejections: Mapping[str, Verdict]) -> dict[str, Reason]:
    return {label: Reason(verdict.kind, verdict.id_label or "") for label, verdict in rejections.items()}


def _reasons(run: Run, kind: Negatives) -> Mapping[str, Reason]:
    """label -> why the negatives of this kind lack it."""
    if kind == "mined":  # as they are mined, so that a cleaned name is new to them
        return {negative.label: CLEANED for negative in clean_negatives(run.initial_negatives)}
    if kind not in ("refined", "judged"):
        return {}
    reasons = {negative.label: CLEANED for negative in run.initial_negatives}
    reasons |= _rejected(run.rejections)
    if kind == "refined":
        dropped = (override.negative for override in changes(run.overrides) if override.new == DROPPED)
        reasons |= dict.fromkeys(dropped, DROPPED_BY_A_PERSON)
    else:
        rejected, decisions = run.rejections, in_force(run.overrides).values()
        restored = [rejected[o.negative] for o in decisions if o.new != DROPPED and o.negative in rejected]
        reasons |= {v.negative: Reason(f"{v.kind}; restored by a person", v.id_label or "") for v in restored}
    return reasons
