"""What is said of image sets so large that a sample of them is looked through."""

from collections.abc import Iterable

import streamlit as st

from negrefine_core.runs import Run

from .scored_images import flat_scores
from .words import plain


def sample_line(run: Run, names: Iterable[str]) -> None:
    large = []
    for name in names:
        shown, count = len(flat_scores(run, name)), run.count_scored(name)
        if shown < count:
            large.append(f"{shown:,} of the {count:,} images of {plain(name)}")
    if large:
        st.caption(
            f"**A sample**, drawn by chance: {', '.join(large)}. Pictures, counts and curves are of it; the table "
            "under Metrics in Explore is of all images."
        )
