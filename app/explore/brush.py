"""A histogram on which a range of scores can be drawn: it filters the gallery."""

import plotly.graph_objects as go
import streamlit as st

from ..shared.scored_images import ScoredImages
from ..shared.view import change
from .view import ExploreView

HEIGHT = 300  # pixels: the whole of it is seen beside the pictures on a laptop


def brushed_histogram(view: ExploreView, images: ScoredImages, chart: go.Figure, alt: str) -> None:
    key = f"brush_{'_'.join(images.sets.names)}_{images.score.column}_{view.chosen_scores}"
    st.plotly_chart(
        chart.update_layout(height=HEIGHT),
        key=key,
        on_select=lambda: _brush(view, key),
        selection_mode="box",
        config={"displayModeBar": False},
        alt=alt,
    )


def _brush(view: ExploreView, key: str) -> None:
    """A box drawn on the histogram becomes the score range; only its horizontal extent counts."""
    boxes = st.session_state[key]["selection"]["box"]
    if boxes:
        low, high = sorted(boxes[-1]["x"])
        change(view, low=float(low), high=float(high), page=1, show="pictures")
