"""The scores that a person can look at: each method's, and the two parts of NegRefine's own."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Score:
    """A column of a run's scores; `label` of a method is its name in the metrics."""

    column: str
    label: str
    meaning: str


SCORES = (
    Score("negrefine", "NegRefine", "NegLabel part + α × multi-matching part, on the refined negatives"),
    Score("neglabel", "NegRefine: NegLabel part", "share of the softmax mass on the ID labels against the negatives"),
    Score(
        "multi_matching", "NegRefine: multi-matching part",
        "whether “ID label and negative” fits better than the negative",
    ),
    Score("negrefine_judged", "NegRefine before overrides", "NegRefine with the judge’s verdicts alone"),
    Score("csp", "CSP", "this mining and the NegLabel score, with neither the filter nor multi-matching"),
    Score("neglabel_baseline", "NegLabel", "the NegLabel paper’s own settings"),
    Score("mcm", "MCM", "highest softmax share of an ID label; no negatives, temperature 1 on the raw cosine"),
    Score("mcm_scaled", "MCM (T = 0.01)", "as MCM, on CLIP’s own scale (100 × cosine)"),
)  # fmt: skip
DEFAULT = SCORES[0]


def available(table: pd.DataFrame) -> list[Score]:
    """The scores that the run holds."""
    return [score for score in SCORES if score.column in table]


def by_column(column: str, offered: list[Score]) -> Score:
    """The score of that column, or the first on offer."""
    return next((score for score in offered if score.column == column), offered[0])
