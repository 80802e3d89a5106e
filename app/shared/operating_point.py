"""The view's threshold, and the words for what it makes of the images."""

from dataclasses import dataclass

import pandas as pd

from negrefine_core import operating_point
from negrefine_core.marks import ENOUGH
from negrefine_core.operating_point import MARKED, TPR95, YOUDEN

from .view import View
from .words import percent, plain

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
    "IN": Words("Looks like one of your classes", "At or above the threshold. Nobody has said whether that is right."),
    "OUT": Words("None of your classes", "Below the threshold. Nobody has said whether that is right."),
}


@dataclass(frozen=True)
class Threshold:
    """A threshold, how it came about, in words, and what else to know of it."""

    value: float
    origin: str
    note: str = ""


def threshold(view: View, table: pd.DataFrame, score: str, column: str = "") -> float:
    """A score's threshold by the view's rule, whichever page looks at it; its values are in `column` if not its own."""
    return operating_point.threshold(table, column or score, _rule(view, score))


def threshold_alone(
    view: View, table: pd.DataFrame, score: str, known: pd.DataFrame | None, id_set: str, column: str = ""
) -> Threshold:
    """The threshold of an image set by itself, whose values are in `column` if not the score's own: set by hand, taken
    from its marks, or carried over from the `known` images of the ID set, with the OOD images there are; without an ID
    set its median, which is only a start."""
    rule = _rule(view, score)
    if rule not in RULES:
        return Threshold(float(rule), "set by hand")
    if view.threshold == MARKED and has_marks_enough(table):
        truth = table[table["marked"] != ""]
        truth = truth.assign(is_id=truth["marked"] == "ID")
        return _keeping(truth, score, "from your marks", "marked pictures of your classes")
    if known is None:
        return Threshold(
            float(table[column or score].median()),
            "the median of these pictures, only a start",
            "Half of them lie on either side, as the run has no set of your classes to take a threshold from: move it "
            "by hand.",
        )
    return _keeping(known, score, f"carried over from “{plain(id_set)}”", "ID images")


def has_marks_enough(table: pd.DataFrame) -> bool:
    """Whether as many pictures of a set by itself are marked, of each kind, as figures ask for."""
    return "marked" in table and all((table["marked"] == side).sum() >= ENOUGH for side in ("ID", "OOD"))


def _keeping(truth: pd.DataFrame, score: str, origin: str, things: str) -> Threshold:
    """The threshold of FPR@95 on images of which it is known what they show."""
    kept = operating_point.keeping(truth, score)
    said = f"{percent(kept.share)} of those {kept.n_id:,} {things}"
    return Threshold(kept.threshold, f"{origin}: it keeps {said}, the nearest to 95%")


def rule_words(view: View, score: str) -> str:
    """How the view's threshold of a score came about."""
    return RULES.get(_rule(view, score), "set by hand")


def _rule(view: View, score: str) -> str:
    return operating_point.rule_for(score, view.threshold, view.score)
