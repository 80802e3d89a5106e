"""Which of the images Explore shows: by what they are taken for, what they show, their file's name and their marks."""

import pandas as pd
import streamlit as st

from ..shared.scored_images import ScoredImages
from ..shared.view import ALL_IMAGES, MARKED, bound, change
from .view import ExploreView

ANY = ""


def filters(view: ExploreView, images: ScoredImages) -> None:
    """A button that opens the filters, and one that takes all of them off where there are some."""
    chosen = [view.taken, view.shows, view.file, view.marked if images.is_alone else ""]
    count = sum(map(bool, chosen))
    with st.popover(f"Filter ({count})" if count else "Filter", icon=":material/filter_alt:", key="filters"):
        _class_filter(view, "Taken for", "taken", images.taken_for, "The ID class that an image is taken for.")
        shown = images.table["class"].fillna("")
        if shown.any():
            _class_filter(view, "Shows", "shows", shown, "The class that its folder names.")
        st.text_input("File’s name contains", max_chars=200, **bound(view, "file", page=1))
        if images.is_alone:
            st.selectbox(
                "Marks", [ANY, *MARKED], format_func=lambda how: MARKED.get(how, "Any"), **bound(view, "marked", page=1)
            )
    if count or images.filtered_outcome(view) or view.chosen_scores:
        st.button("Show all images", icon=":material/filter_alt_off:", on_click=change, args=(view,), kwargs=ALL_IMAGES)


def _class_filter(view: ExploreView, label: str, name: str, classes: pd.Series, explained: str) -> None:
    """A choice among the classes that there are, the most frequent first, with their counts."""
    counts = classes[classes != ""].value_counts()
    counts = counts[counts > 0]
    value = getattr(view, name)
    options = [ANY, *counts.index] if not value or value in counts.index else [ANY, value, *counts.index]
    st.selectbox(
        label,
        options,
        format_func=lambda kind: f"{kind} ({counts.get(kind, 0):,})" if kind else "Any class",
        help=explained,
        **bound(view, name, page=1),
    )
