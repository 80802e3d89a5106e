"""The gallery of Explore: the images that pass the filters, in an order."""

import numpy as np
import streamlit as st

from negrefine_core.runs import Run

from ..shared.gallery import image_gallery
from ..shared.scored_images import ScoredImages
from ..shared.view import SORTS, bound
from .exports import exports
from .filters import filters
from .saved import saved_selections
from .view import ExploreView


def picture_tools(run: Run, view: ExploreView, images: ScoredImages, shown: np.ndarray) -> None:
    filters(view, images)
    saved_selections(run, view, images, shown)
    _choose_sort(view, images)
    exports(run, images, shown)


def pictures(run: Run, view: ExploreView, images: ScoredImages, shown: np.ndarray) -> None:
    if not len(shown):
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
    needed = {"changed": "csp", "similar": "similarity"}
    offered = [sort for sort in SORTS if sort not in needed or needed[sort] in images.table]
    if images.is_alone:
        offered = ["highest", *(sort for sort in offered if sort not in ("wrong", "highest"))]
    st.selectbox(
        "Order",
        offered,
        format_func=lambda sort: SORTS[sort][0],
        width=160,
        help="\n".join(f"- **{label}**: {meaning}" for label, meaning in (SORTS[sort] for sort in offered)),
        **bound(view, "sort", view.sort if view.sort in offered else offered[0], page=1),
    )
