"""What a change of the negatives does, as a table of four rows, and which images it takes over the threshold."""

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.methods import DEFAULT
from negrefine_core.metrics import auroc_and_fpr95

from ..shared.operating_point import threshold
from ..shared.view import View
from .view import CROSSED

GOOD = ("caught", "won")
PREVIEW = ("Now", "Then, about", "Change")


def figures_table(view: View, found: pd.DataFrame, columns: tuple[str, str, str]) -> None:
    """AUROC, FPR@95, the thresholds and the images that flip, from the scores `before` and `after` of images with
    `is_id`."""
    inside = found["is_id"].to_numpy()
    before, after = found["before"].to_numpy(), found["after"].to_numpy()
    if inside.all() or not inside.any():
        st.info("Choose an ID and an OOD image set in Explore to see AUROC and FPR@95.")
        return
    was, now = (auroc_and_fpr95(scores[inside], scores[~inside]) for scores in (before, after))
    at = thresholds(view, found)
    rows = {
        "AUROC": _compared(was[0], now[0], 1),
        "FPR@95": _compared(was[1], now[1], -1),
        "Threshold": (f"{at[0]:.3f}", f"{at[1]:.3f}", ""),
        "Images that flip": ("", "", _flips(crossings(found, at))),
    }
    st.table(pd.DataFrame(rows, index=list(columns)).T, border="horizontal")


def thresholds(view: View, found: pd.DataFrame) -> tuple[float, float]:
    """The one that the scores `before` are held against, and that of the scores `after`."""
    return threshold(view, found, DEFAULT, "before"), threshold(view, found, DEFAULT, "after")


def crossings(found: pd.DataFrame, at: tuple[float, float]) -> pd.Series:
    """What becomes of each image, one of `CROSSED`, or empty where it stays on its side of the thresholds."""
    was, now = found["before"] >= at[0], found["after"] >= at[1]
    inside = found["is_id"].astype(bool)
    cases = [~was & now & ~inside, was & ~now & inside, was & ~now & ~inside, ~was & now & inside]
    return pd.Series(np.select(cases, list(CROSSED), ""), index=found.index)


def _compared(was: float, now: float, good: int) -> tuple[str, str, str]:
    """(now, then, change) in percent; a change for the better is green."""
    change = shown_change(was, now)
    words = f"{change:+.2f}".replace("-", "−")
    colour = "green" if change * good > 0 else "red"
    none = "none" if was == now else "under 0.01"
    return f"{100 * was:.2f}%", f"{100 * now:.2f}%", f":{colour}[{words}]" if change else none


def shown_change(was: float, now: float) -> float:
    """The change in points between two figures as they are shown, in percent two decimals; never a negative zero."""
    return round(round(100 * now, 2) - round(100 * was, 2), 2) + 0.0


def _flips(codes: pd.Series) -> str:
    """Who crosses the threshold, the good and the bad, in words."""
    counts = codes.value_counts()
    found = [
        f":{'green' if code in GOOD else 'red'}[{counts[code]:,} {words}]"
        for code, words in CROSSED.items()
        if code in counts
    ]
    return ", ".join(found) or "none"
