"""The gallery of Explore: the images that pass the filters, in an order, and as a CSV file."""

import pandas as pd
import streamlit as st

from negrefine_core.runs import Run

from ..shared.gallery import image_gallery
from ..shared.scored_images import ScoredImages
from ..shared.view import SORTS, bound, change
from .view import ExploreView


def picture_tools(run: Run, view: ExploreView, images: ScoredImages, shown: pd.DataFrame) -> None:
    if images.filtered_outcome(view) or view.chosen_scores:
        st.button(
            "Show all images",
            icon=":material/filter_alt_off:",
            on_click=change,
            args=(view,),
            kwargs={"outcome": "", "low": None, "high": None, "page": 1},
        )
    _choose_sort(view, images)
    _export(run, images, shown)


def pictures(run: Run, view: ExploreView, images: ScoredImages, shown: pd.DataFrame) -> None:
    if shown.empty:
        st.info("No image passes these filters. Choose “Show all images” above.")
    else:
        image_gallery(run, view, images, shown, note=_range(view, images))


def _range(view: ExploreView, images: ScoredImages) -> str:
    if not view.chosen_scores:
        return ""
    low, high = view.chosen_scores
    return f" with scores from {images.text(low)} to {images.text(high)}, as drawn on the histogram"


def _choose_sort(view: ExploreView, images: ScoredImages) -> None:
    """Without a truth nothing is known to be wrong, and the highest score comes first."""
    offered = [sort for sort in SORTS if sort != "changed" or "csp" in images.table]
    if images.is_alone:
        offered = ["highest", *(sort for sort in offered if sort not in ("wrong", "highest"))]
    st.selectbox(
        "Order",
        offered,
        format_func=lambda sort: SORTS[sort][0],
        width=230,
        help="\n".join(f"- **{label}**: {meaning}" for label, meaning in (SORTS[sort] for sort in offered)),
        **bound(view, "sort", view.sort if view.sort in offered else offered[0], page=1),
    )


def _export(run: Run, images: ScoredImages, shown: pd.DataFrame) -> None:
    """The images of the view, in its order, with every score; the score and threshold are columns of their own."""
    lists = ["id_labels", "id_sims", "negative_labels", "negative_sims"]
    table = shown.drop(columns=[name for name in lists if name in shown])
    st.download_button(
        "Export as CSV",
        data=lambda: table.assign(score=images.score.name, threshold=images.threshold).to_csv(index=False),
        file_name=f"{run.name}-{images.score.column}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        help=f"The {len(table):,} images shown, in this order, with all scores and the threshold.",
    )
