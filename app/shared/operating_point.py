"""The threshold in use and what it does: an image at or above it counts as in-distribution (ID, the positive class)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from negrefine_core.metrics import fpr_at_recall
from negrefine_core.show.charts import curve_points

TPR95, YOUDEN, BY_HAND = "tpr95", "youden", "hand"


@dataclass(frozen=True)
class Outcome:
    """One cell of the confusion matrix, in plain words beside the field's term."""

    code: str
    words: str
    meaning: str
    is_id: bool
    accepted: bool


OUTCOMES = (
    Outcome("TP", "ID kept", "True positives: ID images at or above the threshold.", True, True),
    Outcome("FN", "ID missed", "False negatives: ID images below the threshold, taken for OOD.", True, False),
    Outcome("FP", "OOD let in", "False positives: OOD images at or above the threshold, taken for ID.", False, True),
    Outcome("TN", "OOD caught", "True negatives: OOD images below the threshold.", False, False),
)
BY_CODE = {outcome.code: outcome for outcome in OUTCOMES}


def threshold(table: pd.DataFrame, score: str, rule: str) -> float:
    """The threshold of a rule: `tpr95`, `youden`, or a number written out."""
    if rule == TPR95:
        values, inside = table[score].to_numpy(dtype=float), table["is_id"].to_numpy(dtype=bool)
        return fpr_at_recall(values[inside], values[~inside])[1]
    if rule == YOUDEN:
        points = curve_points(table, score)
        return float(points["threshold"].iloc[int((points["tpr"] - points["fpr"]).argmax())])
    return float(rule)


def outcomes(table: pd.DataFrame, score: str, at: float) -> pd.Series:
    """Each image's outcome code: TP, FN, FP or TN."""
    accepted, inside = table[score] >= at, table["is_id"]
    codes = np.select([inside & accepted, inside & ~accepted, ~inside & accepted], ["TP", "FN", "FP"], "TN")
    return pd.Series(codes, index=table.index)
