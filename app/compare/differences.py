"""What two sides' metrics differ by, computed once, and said in words that the intervals support."""

import pandas as pd

from negrefine_core.comparison import Difference, metric_differences
from negrefine_core.metrics import AVERAGE, Convention
from negrefine_core.show.tables import points

from ..shared import background
from ..shared.scored_images import Sets
from ..shared.words import plain
from .sides import FIRST, SECOND, Sides

METRICS = {"auroc": "AUROC", "fpr95": "FPR@95"}


def differences(sides: Sides, sets: Sets, table: pd.DataFrame, convention: Convention) -> list[Difference] | None:
    """The metrics' differences, for the scores' files as they are; None and a sign of waiting until they are there."""
    key = ("differences", *(side.state(scores=sets.names) for side in sides.both), convention)
    wanted = table[["image_set", "is_id", FIRST, SECOND]]
    return background.result(
        key, lambda: metric_differences(wanted, FIRST, SECOND, convention=convention), "Drawing the bootstrap samples"
    )


def overall(found: list[Difference]) -> list[Difference]:
    """The averages over the OOD sets, or those of the only set."""
    return [difference for difference in found if difference.ood_set == AVERAGE] or found


def is_better(difference: Difference) -> bool:
    """Whether the second side is, chance left aside."""
    return (difference.second > difference.first) == (difference.metric == "auroc")


def headline(found: list[Difference], sides: Sides) -> str:
    """What was compared, and how much better or worse the second side's AUROC is, in one sentence."""
    first, second = (plain(side.name) for side in sides.both)
    if (sides.first.score.negatives, sides.second.score.negatives) == ("mined", "refined"):
        first, second = f"Without the filter ({first})", f"with it ({second})"
    auroc = next(difference for difference in overall(found) if difference.metric == "auroc")
    delta = points(auroc.second - auroc.first)
    bounds = f"{points(auroc.low)} to {points(auroc.high)}" + ("" if auroc.is_clear else ": not beyond chance")
    return (
        f"{first} against {second}: **AUROC {100 * auroc.first:.1f} → {100 * auroc.second:.1f}**, {delta} points "
        f"({bounds})."
    )


def statement(difference: Difference, sides: Sides) -> str:
    """One metric's difference as a sentence that its interval supports."""
    delta = difference.second - difference.first
    where = "averaged over the OOD sets" if difference.ood_set == AVERAGE else f"on {plain(difference.ood_set)}"
    bounds = f"95% interval {points(difference.low)} to {points(difference.high)}"
    start = f"{METRICS[difference.metric]}, {where}:"
    if not difference.is_clear:
        return f"{start} **no difference beyond chance** ({points(delta)} points, {bounds})."
    word = "better" if is_better(difference) else "worse"
    return f"{start} **{plain(sides.second.name)} is {word}** ({points(delta)} points, {bounds})."
