"""The view's threshold, and the words for what it makes of the images."""

from dataclasses import dataclass

import pandas as pd

from negrefine_core import operating_point
from negrefine_core.operating_point import TPR95, YOUDEN

from .view import View

BY_HAND = "hand"
RULES = {TPR95: "95% of ID kept", YOUDEN: "Balanced (Youden)"}


@dataclass(frozen=True)
class Words:
    """An outcome in plain words beside the field's term."""

    name: str
    meaning: str


OUTCOME_WORDS = {
    "TP": Words("ID kept", "True positives: ID images at or above the threshold."),
    "FN": Words("ID missed", "False negatives: ID images below the threshold, taken for OOD."),
    "FP": Words("OOD let in", "False positives: OOD images at or above the threshold, taken for ID."),
    "TN": Words("OOD caught", "True negatives: OOD images below the threshold."),
}


def threshold(view: View, table: pd.DataFrame, score: str, column: str = "") -> float:
    """A score's threshold by the view's rule, whichever page looks at it; its values are in `column` if not its own."""
    return operating_point.threshold(table, column or score, _rule(view, score))


def rule_words(view: View, score: str) -> str:
    """How the view's threshold of a score came about."""
    return RULES.get(_rule(view, score), "set by hand")


def _rule(view: View, score: str) -> str:
    return operating_point.rule_for(score, view.threshold, view.score)
