"""What a change of the negatives does, as a table of four rows, and which images it takes over the threshold."""

from functools import partial
from hashlib import sha256

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.comparison import Difference, metric_differences
from negrefine_core.methods import DEFAULT
from negrefine_core.metrics import auroc_and_fpr95
from negrefine_core.show.tables import points

from ..shared import background
from ..shared.operating_point import threshold
from ..shared.view import View
from .view import CROSSED

GOOD = ("caught", "won")
PREVIEW = ("Now", "Then, about", "Change")
SAMPLES, FEWEST, DRAWN = 1000, 100, 10_000_000  # bootstrap samples, and the images in all of them


def figures_table(view: View, found: pd.DataFrame, columns: tuple[str, str, str]) -> None:
    """AUROC, FPR@95, the thresholds and the images that flip, from the scores `before` and `after` of images with
    `is_id`; the intervals of the changes follow when they are worked out."""
    inside = found["is_id"].to_numpy()
    if inside.all() or not inside.any():
        st.info("Choose an ID and an OOD image set in Explore to see AUROC and FPR@95.")
        return
    scores = [found[name].to_numpy() for name in ("before", "after")]
    was, now = (auroc_and_fpr95(each[inside], each[~inside]) for each in scores)
    at = thresholds(view, found)
    place, samples = st.empty(), max(FEWEST, min(SAMPLES, DRAWN // len(found)))
    differences = (_differences(found, samples) if was != now else None) or (None, None)
    rows = {
        "AUROC": _compared(was[0], now[0], 1, differences[0]),
        "FPR@95": _compared(was[1], now[1], -1, differences[1]),
        "Threshold": (f"{at[0]:.3f}", f"{at[1]:.3f}", ""),
        "Images that flip": ("", "", _flips(crossings(found, at))),
    }
    with place:
        st.table(pd.DataFrame(rows, index=list(columns)).T, border="horizontal")
    if all(differences):
        st.caption(f"95% intervals, {samples:,} bootstrap samples. Coloured: beyond chance")


def _differences(found: pd.DataFrame, samples: int) -> list[Difference] | None:
    """Of AUROC and of FPR@95, all OOD sets pooled; None and a sign of waiting until they are there."""
    table = found[["before", "after", "is_id"]].assign(image_set="all")
    key = ("bootstrap", sha256(table[["before", "after", "is_id"]].to_numpy(dtype=float).tobytes()).hexdigest())
    work = partial(metric_differences, table, "before", "after", samples)
    return background.result(key, work, "Drawing the bootstrap samples", aside=True)


def thresholds(view: View, found: pd.DataFrame) -> tuple[float, float]:
    """The one that the scores `before` are held against, and that of the scores `after`."""
    return threshold(view, found, DEFAULT, "before"), threshold(view, found, DEFAULT, "after")


def crossings(found: pd.DataFrame, at: tuple[float, float]) -> pd.Series:
    """What becomes of each image, one of `CROSSED`, or empty where it stays on its side of the thresholds."""
    was, now = found["before"] >= at[0], found["after"] >= at[1]
    inside = found["is_id"].astype(bool)
    cases = [~was & now & ~inside, was & ~now & inside, was & ~now & ~inside, ~was & now & inside]
    return pd.Series(np.select(cases, list(CROSSED), ""), index=found.index)


def _compared(was: float, now: float, good: int, difference: Difference | None) -> tuple[str, str, str]:
    """(now, then, change) in percent, the change with its interval; coloured is one beyond chance."""
    change = shown_change(was, now)
    words = f"{change:+.2f}".replace("-", "−") if change else "under 0.01"
    if was == now:
        words = "none"
    elif difference:
        if difference.is_clear and change:
            words = f":{'green' if change * good > 0 else 'red'}[{words}]"
        words += f" ({points(difference.low, 2)} to {points(difference.high, 2)})"
    return f"{100 * was:.2f}%", f"{100 * now:.2f}%", words


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
