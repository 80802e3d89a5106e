"""An image set by itself, of which nobody knows what it shows: ranked pictures, and what each is taken for."""

import streamlit as st

from negrefine_core.marks import is_enough
from negrefine_core.operating_point import UNKNOWN_OUTCOMES
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import links
from ..shared.marks import marks_line
from ..shared.operating_point import OUTCOME_WORDS
from ..shared.scored_images import ScoredImages, marked
from ..shared.view import ALL_IMAGES, switch
from ..shared.words import plain, plural
from .brush import brushed_histogram
from .controls import choose_score, choose_sets_alone
from .image_map import image_map
from .pictures import picture_tools, pictures
from .saved import comparison
from .search import nearest_labels, search_line
from .threshold_controls import choose_rule, threshold_slider
from .tiles import outcome_tile
from .view import ExploreView

SECTIONS = {"pictures": "Pictures", "map": "Map"}
_UNMARKED = ALL_IMAGES | {"marked": "no", "image": "", "back": "explore"}
WHY = (
    "On each picture: the class and the negative label that it is most similar to (100 × cosine). The score weighs all "
    "labels, in groups, so that a picture may look like one of your classes though a single negative lies nearer."
)
SAID = {
    "ID": "It was said to show your classes (ID); a set of something else (OOD) is missing to compare it with.",
    "OOD": "It was said to show something else (OOD); a set of your classes (ID) is missing to compare it with.",
    "unknown": "Nobody has said what it shows: figures come from your marks.",
}


def image_set_alone(run: Run, view: ExploreView, images: ScoredImages) -> None:
    """The pictures come first, and their scores beside them."""
    name, count = images.sets.alone, len(images.table)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choose_sets_alone(run, view, images)
        choose_score(view, images)
        choose_rule(view, images)
    threshold_slider(view, images)
    st.caption(
        f"**{count:,} {plural(count, 'picture')} of “{plain(name)}”.** {SAID[run.role(name)]} "
        f"Threshold **{images.text(images.threshold)}**: {images.at.origin}. {images.at.note}"
    )
    search_line(view, images)
    _tiles(view, images)
    marks_line(run, images)
    shown = images.shown(view)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        switch("Below", SECTIONS, view, "show", view.show if view.show in SECTIONS else "pictures")
        picture_tools(run, view, images, shown)
        _to_marking(run, view, images)
        st.page_link(links.page("score"), label="Say what it shows", icon=":material/label:", query_params=view.query())
    comparison(run, view, images)
    with st.container(key="beside"):
        left, right = st.columns([5, 3], gap="medium")
    with left:
        if view.show == "map":
            image_map(run, view, images, shown)
        else:
            st.caption(WHY)
            pictures(run, view, images, shown)
    with right:
        if view.show == "map":
            pictures(run, view, images, shown)
        else:
            if view.is_search:
                nearest_labels(run, view)
            _histogram(view, images)
    skipped = run.skipped[run.skipped["image_set"] == name]
    if len(skipped):
        with st.expander(f"Unreadable, and left out: {len(skipped):,}"):
            listed = skipped.rename(columns={"path": "File", "reason": "Reason"})
            st.dataframe(listed[["File", "Reason"]], hide_index=True)


def _histogram(view: ExploreView, images: ScoredImages) -> None:
    st.markdown("**Scores**", help="Drag across the chart to see the pictures of a score range.")
    values, title = images.table[images.score.column], f"{images.score.name} score"
    brushed_histogram(
        view,
        images,
        charts.histogram_alone(values, images.threshold, view.chosen_scores, title),
        f"Histogram of the {title}s of {images.sets.alone}, threshold at {images.text(images.threshold)}",
    )


def _to_marking(run: Run, view: ExploreView, images: ScoredImages) -> None:
    """The next action, until there are marks enough for metrics; in random order, so that these stand for the whole
    set, and without the pictures that are marked already."""
    if not (images.table["marked"] == "").any():
        return
    query = view.query(alone=images.sets.alone, sort="random", **_UNMARKED)
    label, icon = "Mark pictures by key", ":material/bookmark_add:"
    if is_enough(marked(run, images.sets.alone).values()):
        st.page_link(links.page("image"), label=label, icon=icon, query_params=query)
    else:
        links.next_action("image", label, icon, query)


def _tiles(view: ExploreView, images: ScoredImages) -> None:
    """What the pictures are taken for, as two buttons; each filters the gallery."""
    counts, total = images.looked_at["outcome"].value_counts(), len(images.looked_at)
    with st.container(key="tiles"):
        for column, outcome in zip(st.columns(2), UNKNOWN_OUTCOMES, strict=True):
            count, title = int(counts.get(outcome.code, 0)), OUTCOME_WORDS[outcome.code].name
            outcome_tile(column, view, outcome, title, count, total, "pictures")
