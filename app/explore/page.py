"""Explore: how well a score tells ID from OOD, where the threshold lies, and the images on either side of it."""

from typing import Any

import pandas as pd
import streamlit as st

from negrefine_core.operating_point import OUTCOMES, RULES, TPR95
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import frame
from ..shared.gallery import image_gallery
from ..shared.operating_point import OUTCOME_WORDS
from ..shared.scored_images import ScoredImages
from ..shared.view import SORTS, bound, change, now, picked, switch
from ..shared.words import percent, plain
from .metrics_table import metrics_table
from .threshold_controls import threshold_controls
from .view import CURVES, ExploreView

ANEW: dict[str, Any] = {"page": 1, "low": None, "high": None}  # a score range means nothing for other images or scores


def _draw(run: Run, view: ExploreView) -> None:
    st.caption(
        "Does a picture show one of your classes (in-distribution, ID) or something else (out-of-distribution, OOD)? "
        "Each image gets a score; **higher = more in-distribution**. ID is the positive class: an image at or above "
        "the threshold counts as ID, one below it as OOD."
    )
    images = ScoredImages.of(run, view)
    _choose_what(run, view, images)
    threshold_controls(view, images)
    _charts(view, images)
    _outcome_tiles(view, images)
    show = _choose_section(run, view)
    if show == "metrics":
        metrics_table(run, view, images)
    elif show == "unreadable":
        _unreadable(run)
    else:
        _pictures(run, view, images)


def _choose_what(run: Run, view: ExploreView, images: ScoredImages) -> None:
    left, middle, right = st.columns([2, 5, 3])
    left.selectbox(
        "ID images",
        run.scored_sets,
        format_func=_readable,  # its options are no Markdown
        help="The image set whose classes are the ID labels (in-distribution, the positive class).",
        **bound(view, "id", images.sets.id, **ANEW),
    )
    middle.pills(
        "OOD images, pooled",
        images.sets.others,
        selection_mode="multi",
        wrap=True,
        format_func=lambda name: plain(_readable(name)),
        help="The image sets that show something else (out-of-distribution). Several are taken together as one.",
        **bound(view, "ood", list(images.sets.ood)) | {"on_change": lambda: _choose_ood(view)},
    )
    labels = {score.column: score.name for score in images.offered}
    right.selectbox(
        "Score",
        labels,
        format_func=labels.__getitem__,
        help="\n".join(f"- **{score.name}**: {score.meaning}" for score in images.offered),
        **bound(view, "score", images.score.column) | {"on_change": lambda: _choose_score(view)},
    )


def _choose_ood(view: ExploreView) -> None:
    if chosen := picked("ood"):  # the last one stays chosen: none would mean all
        change(view, ood=tuple(chosen), **ANEW)


def _choose_score(view: ExploreView) -> None:
    """A threshold set by hand means nothing on another scale."""
    rule = now(view).threshold
    change(view, score=picked("score"), threshold=rule if rule in RULES else TPR95, **ANEW)


def _charts(view: ExploreView, images: ScoredImages) -> None:
    left, right = st.columns([3, 2], gap="medium")
    score, at = images.score, images.threshold
    with left:
        st.markdown("**Scores of ID and OOD images**", help="Drag across the chart to see the images of a score range.")
        chart = charts.histogram(images.table, score.column, at, view.chosen_scores, f"{score.name} score")
        key = f"brush_{score.column}_{view.chosen_scores}"
        st.plotly_chart(
            chart,
            key=key,
            on_select=lambda: _brush(view, key),
            selection_mode="box",
            config={"displayModeBar": False},
            alt=f"Histogram of the {score.name} scores of ID and OOD images, threshold at {images.text(at)}",
        )
    with right:
        switch("Curve", CURVES, view, "curve")
        draw_curve = charts.roc if view.curve == "roc" else charts.precision_recall
        st.plotly_chart(
            draw_curve(images.table, score.column, at),
            key="curve",
            config={"displayModeBar": False},
            alt=f"{CURVES[view.curve]} curve of the {score.name} score with the threshold's operating point",
        )


def _brush(view: ExploreView, key: str) -> None:
    """A box drawn on the histogram becomes the score range; only its horizontal extent counts."""
    boxes = st.session_state[key]["selection"]["box"]
    if boxes:
        low, high = sorted(boxes[-1]["x"])
        change(view, low=float(low), high=float(high), page=1, show="pictures")


def _outcome_tiles(view: ExploreView, images: ScoredImages) -> None:
    """The confusion matrix as four buttons; each filters the gallery."""
    counts = images.table["outcome"].value_counts()
    totals = images.table["is_id"].value_counts()
    with st.container(key="tiles"):
        for column, outcome in zip(st.columns(4), OUTCOMES, strict=True):
            count, total = int(counts.get(outcome.code, 0)), int(totals.get(outcome.is_id, 0))
            chosen, words = view.outcome == outcome.code, OUTCOME_WORDS[outcome.code]
            column.button(
                f"{words.name} ({outcome.code})  \n**{count:,}** of {total:,} · {percent(count / max(total, 1))}",
                key=f"tile_{outcome.code}",
                type="primary" if chosen else "secondary",
                width="stretch",
                help=f"{words.meaning} Click to see {'all images again' if chosen else 'only these'}.",
                on_click=change,
                args=(view,),
                kwargs={"outcome": "" if chosen else outcome.code, "page": 1, "show": "pictures"},
            )


def _choose_section(run: Run, view: ExploreView) -> str:
    labels = {"pictures": "Pictures", "metrics": "Metrics", "unreadable": f"Unreadable images ({len(run.skipped):,})"}
    switch("Below", labels, view, "show")
    return view.show


def _pictures(run: Run, view: ExploreView, images: ScoredImages) -> None:
    shown = images.shown(view)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _choose_sort(view, images)
        _export(run, images, shown)
        if view.outcome or view.chosen_scores:
            st.button(
                "Show all images",
                icon=":material/filter_alt_off:",
                on_click=change,
                args=(view,),
                kwargs={"outcome": "", "low": None, "high": None, "page": 1},
            )
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
    offered = [sort for sort in SORTS if sort != "changed" or "csp" in images.table]
    st.selectbox(
        "Order",
        offered,
        format_func=lambda sort: SORTS[sort][0],
        width=260,
        help="\n".join(f"- **{label}**: {meaning}" for label, meaning in SORTS.values()),
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


def _unreadable(run: Run) -> None:
    skipped = run.skipped
    if skipped.empty:
        st.info("Every image of this run could be read.")
        return
    st.caption("These files were left out of every figure above.")
    st.dataframe(
        skipped.rename(columns={"image_set": "Image set", "path": "File", "reason": "Reason"}), hide_index=True
    )


def _readable(image_set: str) -> str:
    return image_set.replace("_", " ")


def explore() -> None:
    frame.page("explore", "Explore", ExploreView, _draw)
