"""What Explore looks at: which image sets, and by which score."""

from typing import Any

import streamlit as st

from negrefine_core.operating_point import MARKED, RULES, TPR95
from negrefine_core.runs import Run

from ..shared.scored_images import ScoredImages, is_comparable, sets_by_themselves
from ..shared.switch_sets import switch_sets
from ..shared.view import bound, change, now, picked
from ..shared.words import plain
from .view import ExploreView

ANEW: dict[str, Any] = {"page": 1, "low": None, "high": None}  # a score range means nothing for other images or scores


def choose_sets_alone(run: Run, view: ExploreView, images: ScoredImages) -> None:
    switch_sets(view, is_comparable(run), sets_by_themselves(run), images.sets.alone, outcome="", **ANEW)


def choose_known_sets(run: Run, view: ExploreView, images: ScoredImages) -> None:
    """Behind a button that says which they are."""
    sets = images.sets
    against = plain(readable(sets.ood[0])) if len(sets.ood) == 1 else f"{len(sets.ood)} OOD sets"
    with st.popover(f"{plain(readable(sets.id))} against {against}", icon=":material/photo_library:"):
        st.selectbox(
            "ID images",
            run.id_sets,
            format_func=readable,  # its options are no Markdown
            help="The image set of your classes (in-distribution, the positive class). What a set shows is said on the "
            "page Score.",
            **bound(view, "id", sets.id, **ANEW),
        )
        st.pills(
            "OOD images, pooled",
            sets.others,
            selection_mode="multi",
            wrap=True,
            format_func=lambda name: plain(readable(name)),
            help="The image sets that show something else (out-of-distribution). Several are taken together as one.",
            **bound(view, "ood", list(sets.ood)) | {"on_change": lambda: _choose_ood(view)},
        )


def choose_score(view: ExploreView, images: ScoredImages) -> None:
    labels = {score.column: score.name for score in images.offered}
    st.selectbox(
        "Score",
        labels,
        format_func=labels.__getitem__,
        width=230,
        help="\n".join(f"- **{score.name}**: {score.meaning}" for score in images.offered),
        **bound(view, "score", images.score.column) | {"on_change": lambda: _choose_score(view)},
    )


def _choose_ood(view: ExploreView) -> None:
    if chosen := picked("ood"):  # the last one stays chosen: none would mean all
        change(view, ood=tuple(chosen), **ANEW)


def _choose_score(view: ExploreView) -> None:
    """A threshold set by hand means nothing on another scale."""
    rule = now(view).threshold
    change(view, score=picked("score"), threshold=rule if rule in (*RULES, MARKED) else TPR95, **ANEW)


def readable(image_set: str) -> str:
    return image_set.replace("_", " ")
