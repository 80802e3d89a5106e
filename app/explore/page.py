"""Explore: the images on either side of a threshold, which come first, and how well a score tells ID from OOD."""

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from negrefine_core import maps
from negrefine_core.operating_point import OUTCOMES
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import background, frame
from ..shared.cached import cached_by
from ..shared.looked_at import looked_at
from ..shared.operating_point import OUTCOME_WORDS
from ..shared.sampled import sample_line
from ..shared.scored_images import ScoredImages
from ..shared.view import switch
from .alone import image_set_alone
from .brush import brushed_histogram
from .controls import choose_known_sets, choose_score, choose_sets_alone
from .image_map import image_map
from .metrics_table import metrics_table
from .pictures import picture_tools, pictures
from .saved import comparison
from .search import nearest_labels, search_box, search_line
from .threshold_controls import choose_rule, threshold_slider
from .tiles import outcome_tile
from .view import CURVES, ExploreView


def _draw(run: Run, view: ExploreView) -> None:
    words, search = st.columns([5, 2], vertical_alignment="center")
    words.caption(
        "**Higher score = more in-distribution (ID).** From the threshold up an image counts as one of your classes, "
        "below it as something else (OOD)."
    )
    with search:
        search_box(view)
    images = looked_at(run, view, ScoredImages.of(run, view))
    if images is None:
        return
    sample_line(run, images.sets.names)
    if images.is_alone:
        image_set_alone(run, view, images)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choose_sets_alone(run, view, images)
        choose_known_sets(run, view, images)
        choose_score(view, images)
        choose_rule(view, images)
    threshold_slider(view, images)
    search_line(view, images)
    _outcome_tiles(view, images)
    shown = images.shown(view)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _choose_section(run, view)
        if view.show in ("pictures", "map"):
            st.space("stretch")
            picture_tools(run, view, images, shown)
    comparison(run, view, images)
    if view.show == "unreadable":
        _unreadable(run)
    elif view.show == "map":
        left, right = st.columns([3, 2], gap="medium")
        with left:
            image_map(run, view, images, shown)
        with right:
            pictures(run, view, images, shown)
    elif view.show == "metrics":
        metrics_table(run, view, images)
        left, right = st.columns([3, 2], gap="medium")
        _charts(run, view, images, left, right)
    else:
        with st.container(key="beside"):
            left, right = st.columns([5, 3], gap="medium")
        with left:
            pictures(run, view, images, shown)
        if view.is_search:
            with right:
                nearest_labels(run, view)
        _charts(run, view, images, right, right)


def _charts(run: Run, view: ExploreView, images: ScoredImages, left: DeltaGenerator, right: DeltaGenerator) -> None:
    score, at = images.score, images.threshold
    with left:
        st.markdown("**Scores of ID and OOD images**", help="Drag across the chart to see the images of a score range.")
        brushed_histogram(
            view,
            images,
            charts.histogram(images.table, score.column, at, view.chosen_scores, f"{score.name} score"),
            f"Histogram of the {score.name} scores of ID and OOD images, threshold at {images.text(at)}",
        )
    with right:
        switch("Curve", CURVES, view, "curve")
        st.plotly_chart(
            _curve(run, images, view.curve),
            key="curve",
            config={"displayModeBar": False},
            alt=f"{CURVES[view.curve]} curve of the {score.name} score with the threshold's operating point",
        )


@cached_by(
    lambda run, images, kind: (run.state(scores=images.sets.names), images.score.column, images.threshold, kind),
    max_entries=32,
)
def _curve(run: Run, images: ScoredImages, kind: str) -> go.Figure:
    """Drawn once: filters and pages of the gallery do not change it."""
    draw = charts.roc if kind == "roc" else charts.precision_recall
    return draw(images.table, images.score.column, images.threshold)


def _outcome_tiles(view: ExploreView, images: ScoredImages) -> None:
    """The confusion matrix as four buttons; each filters the gallery."""
    counts = images.looked_at["outcome"].value_counts()
    totals = images.looked_at["is_id"].value_counts()
    with st.container(key="tiles"):
        for column, outcome in zip(st.columns(4), OUTCOMES, strict=True):
            count, total = int(counts.get(outcome.code, 0)), int(totals.get(outcome.is_id, 0))
            title = f"{OUTCOME_WORDS[outcome.code].name} ({outcome.code})"
            outcome_tile(column, view, outcome, title, count, total, "images")


def _choose_section(run: Run, view: ExploreView) -> None:
    labels = {"pictures": "Pictures", "map": "Map", "metrics": "Metrics"}
    if len(run.skipped) or view.show == "unreadable":
        labels["unreadable"] = f"Unreadable ({len(run.skipped):,})"
    switch("Below", labels, view, "show")


def _unreadable(run: Run) -> None:
    skipped = run.skipped
    if skipped.empty:
        st.info("Every image of this run could be read.")
        return
    st.caption("These files were left out of every figure above.")
    st.dataframe(
        skipped.rename(columns={"image_set": "Image set", "path": "File", "reason": "Reason"}), hide_index=True
    )


def explore() -> None:
    frame.page("explore", "Explore", ExploreView, _draw)
    background.begin(("scikit-learn",), maps.make_ready, aside=True)
