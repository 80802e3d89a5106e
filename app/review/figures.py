"""What a change of the negatives does, as a table of three rows."""

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.methods import DEFAULT
from negrefine_core.metrics import auroc_and_fpr95

from ..shared.operating_point import threshold
from ..shared.view import View


def figures_table(view: View, found: pd.DataFrame, columns: tuple[str, str, str]) -> None:
    """AUROC, FPR@95 and the images that flip, from the scores `before` and `after` of images with `is_id`."""
    inside = found["is_id"].to_numpy()
    before, after = found["before"].to_numpy(), found["after"].to_numpy()
    if inside.all() or not inside.any():
        st.info("Choose an ID and an OOD image set in Explore to see AUROC and FPR@95.")
        return
    was, now = (auroc_and_fpr95(scores[inside], scores[~inside]) for scores in (before, after))
    accepted = [found[side] >= threshold(view, found, DEFAULT, side) for side in ("before", "after")]
    lost, gained = (accepted[0] & ~accepted[1]).to_numpy(), (~accepted[0] & accepted[1]).to_numpy()
    rows = {
        "AUROC": _compared(was[0], now[0], 1),
        "FPR@95": _compared(was[1], now[1], -1),
        "Images that flip": ("", "", _flips(lost, gained, inside)),
    }
    st.table(pd.DataFrame(rows, index=list(columns)).T, border="horizontal")


def _compared(was: float, now: float, good: int) -> tuple[str, str, str]:
    """(now, then, change) in percent; a change for the better is green."""
    change = round(round(100 * now, 3) - round(100 * was, 3), 3)  # of what is shown
    words = f"{change:+.3f}".replace("-", "−")
    colour = "green" if change * good > 0 else "red"
    return f"{100 * was:.3f}%", f"{100 * now:.3f}%", f":{colour}[{words}]" if change else "none"


def _flips(lost: np.ndarray, gained: np.ndarray, inside: np.ndarray) -> str:
    """Who crosses the threshold, the good and the bad, in words."""
    cases = (
        ("red", "ID lost", lost & inside),
        ("green", "OOD caught", lost & ~inside),
        ("green", "ID won back", gained & inside),
        ("red", "OOD let in", gained & ~inside),
    )
    found = [f":{colour}[{int(which.sum()):,} {words}]" for colour, words, which in cases if which.any()]
    return ", ".join(found) or "none"
