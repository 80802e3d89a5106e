"""The threshold in use and what it does: an image at or above it counts as in-distribution (ID, the positive class).

`table` has one row an image: a boolean column `is_id` and a column per score. Of images of which nobody knows what they
show there is no `is_id`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .metrics import fpr_at_recall

TPR95, YOUDEN = "tpr95", "youden"
RULES = (TPR95, YOUDEN)  # other thresholds are numbers, set by hand
MARKED = "marks"  # that of FPR@95 on the pictures of a set by itself which a person has marked


@dataclass(frozen=True)
class Outcome:
    """One cell of the confusion matrix; without a truth (`is_id` is None) only what an image is taken for."""

    code: str
    is_id: bool | None
    accepted: bool


OUTCOMES = (
    Outcome("TP", is_id=True, accepted=True),
    Outcome("FN", is_id=True, accepted=False),
    Outcome("FP", is_id=False, accepted=True),
    Outcome("TN", is_id=False, accepted=False),
)
UNKNOWN_OUTCOMES = (Outcome("IN", is_id=None, accepted=True), Outcome("OUT", is_id=None, accepted=False))
BY_CODE = {outcome.code: outcome for outcome in (*OUTCOMES, *UNKNOWN_OUTCOMES)}


def rule_for(score: str, rule: str, set_for: str) -> str:
    """The rule that applies to a score: a number counts for the score that it was set for alone, else 95% of ID."""
    is_number = rule not in (*RULES, MARKED)
    return rule if rule in RULES or (is_number and score == set_for) else TPR95


def threshold(table: pd.DataFrame, score: str, rule: str = TPR95) -> float:
    """The threshold of a rule: `tpr95`, for which ID images are enough, `youden`, or a number written out."""
    if rule == TPR95:
        values, inside = table[score].to_numpy(dtype=float), table["is_id"].to_numpy(dtype=bool)
        return fpr_at_recall(values[inside], values[~inside])[1]
    if rule == YOUDEN:
        points = curve_points(table, score)
        return float(points["threshold"].iloc[int((points["tpr"] - points["fpr"]).argmax())])
    return float(rule)


@dataclass(frozen=True)
class Kept:
    """A threshold, and the share of the `n_id` ID images that it came from which lie at or above it."""

    threshold: float
    share: float
    n_id: int


def keeping(table: pd.DataFrame, score: str) -> Kept:
    """The threshold nearest to 95% of the ID images, to be carried over to other images."""
    at, inside = threshold(table, score, TPR95), table.loc[table["is_id"], score]
    return Kept(at, float((inside >= at).mean()), len(inside))


def outcomes(table: pd.DataFrame, score: str, at: float) -> pd.Series:
    """Each image's outcome code: TP, FN, FP or TN; IN or OUT where nobody knows what the images show."""
    accepted = table[score].to_numpy() >= at
    kinds, known = (OUTCOMES, table["is_id"].to_numpy(dtype=bool)) if "is_id" in table else (UNKNOWN_OUTCOMES, True)
    numbers = np.where(known, ~accepted, 2 + ~accepted).astype(np.int8)  # as the outcomes are listed
    return pd.Series(pd.Categorical.from_codes(numbers, pd.Index([kind.code for kind in kinds])), index=table.index)


def curve_points(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Each score that occurs, as a threshold from the highest down: columns `threshold`, `tpr`, `fpr`, `precision`."""
    values, inside = table[score].to_numpy(dtype=float), table["is_id"].to_numpy(dtype=bool)
    order = np.argsort(-values)
    ranked = values[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # (t,) the last image at each threshold
    kept = np.cumsum(inside[order])[last]  # (t,) ID images at or above it
    let_in = last + 1 - kept
    return pd.DataFrame(
        {
            "threshold": ranked[last],
            "tpr": kept / max(inside.sum(), 1),
            "fpr": let_in / max((~inside).sum(), 1),
            "precision": kept / (last + 1),
        }
    )
