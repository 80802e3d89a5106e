"""Review: what the judge kept and rejected, by class or one negative at a time, and a person's decisions."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from negrefine_core import reviews
from negrefine_core.overrides import KEPT
from negrefine_core.runs import Run

from ..shared import frame, links
from ..shared.outdated import outdated, since
from ..shared.reviewer import name_field
from ..shared.view import bound, change, picked, switch
from ..shared.words import plain
from . import blind
from .actions import decision_buttons, reason_field, say_written
from .bulk import bulk_actions
from .card import asked_questions, definitions, negative_card
from .classes import by_class
from .effect import effect_of_decision, images_by_label
from .label_map import label_map, label_vectors, narrowed, narrowed_line
from .people import both_words, next_to_settle, two_people
from .queue import Judged, Queue, judged, review_queue, stored_impact
from .view import LEVELS, ORDERS, QUEUES, ReviewView


def _draw(run: Run, view: ReviewView) -> None:
    name_field(lambda: change(view, label="") if view.blind else None)  # each goes on at their own next label
    blind.switch(view)
    if view.blind and not blind.is_named():
        return
    verdicts = judged(run)
    level = _level(run, view)
    is_map = level == "map"
    if not view.blind:
        switch("What is reviewed", LEVELS, view, "level", level, lambda: _go_to(view))
    if level == "class":
        by_class(run, view, review_queue(run, replace(view, queue="all", search="", id_class="", sample=())))
        _outdated_scores(run, view)
        return
    _choose(run, view, verdicts)
    if view.sample:
        _sample(view)
    impact = _impact(run) if view.order == "impact" and not view.blind else None
    known = label_vectors(run, is_map) if is_map or (view.around and not view.blind) else None
    queue = review_queue(run, view, impact, None if view.blind else narrowed(run, view, known))
    differ = {} if view.blind else reviews.disagreements(run)
    narrowed_line(view, queue)
    _progress(view, queue)
    row = _row(view, queue)
    if not view.blind:
        say_written(run, queue.until, "settled")
    beside = st.container()
    if is_map and known:
        map_side, beside = st.columns([11, 9], gap="medium")
        with map_side:
            label_map(run, view, queue, known)
    if row is not None:
        with beside:
            _heading(view, queue, row)
            if not view.blind:
                both_words(run, differ, row)
            decision_buttons(run, view, queue, row, next_to_settle(differ, row["label"]))
            reason_field()
            if view.blind:
                st.caption(blind.HIDDEN)
            one_column = view.blind or is_map
            left, right = (st.container(), st.container()) if one_column else st.columns([11, 9], gap="medium")
            with left:
                words = negative_card(run, verdicts, row)
            effect, questions = right.container(), st.container()
    if not view.blind:
        bulk_actions(run, queue)
        two_people(run, view, differ, queue.until)
    if row is not None:  # last: everything else is there before WordNet and the model are
        definitions(words)
        if is_map:
            return
        with questions:
            asked_questions(run, verdicts, row)
        if not view.blind:
            with effect:
                effect_of_decision(run, view, row)
                _outdated_scores(run, view)


def _level(run: Run, view: ReviewView) -> str:
    """The level that the URL names; else by class where that shows effects, and nothing asks for single labels."""
    chosen = (view.queue, view.order, view.search, view.id_class, view.sample, view.chosen, view.around, view.label)
    nothing = ReviewView()
    is_bare = chosen == (nothing.queue, nothing.order, "", "", (), "", "", "")
    if view.blind:
        return "label"
    return view.level or ("class" if is_bare and run.scored_sets else "label")


def _go_to(view: ReviewView) -> None:
    """Another level; the map begins with every label."""
    level = picked("level")
    change(view, level=level, **({"queue": "all"} if level == "map" else {}))


def _sample(view: ReviewView) -> None:
    """That only a sample is gone through, and the ways on."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**A sample of {len(view.sample):,} labels**, to try judges on what you decide")
        st.page_link(
            links.page("judges"), label="Back to Judges", icon=":material/gavel:", query_params=view.query(sample=())
        )
        st.page_link(
            links.page("review"), label="All labels", icon=":material/list:", query_params=view.query(sample=())
        )


def _impact(run: Run) -> pd.Series:
    """Of how many images each label is among the top negatives, and each rejected one would be, once that is known."""
    stored, rejected = stored_impact(run), images_by_label(run)
    return stored if rejected is None else stored.add(rejected, fill_value=0)


def _choose(run: Run, view: ReviewView, verdicts: Judged) -> None:
    first, second, third, fourth = st.columns([3, 3, 3, 3])
    first.selectbox(
        "Queue",
        list(QUEUES),
        format_func=QUEUES.__getitem__,
        help="Which negatives to go through. Rejections are labels that the judge threw out.",
        **bound(view, "queue", label=""),
    )
    second.text_input(
        "Search",
        placeholder="text in the label",
        max_chars=80,
        icon=":material/search:",
        **bound(view, "search", label=""),
    )
    counts = verdicts.table.loc[verdicts.table["id_label"] != "", "id_label"].value_counts()
    classes = ["", *sorted(counts.index)]
    third.selectbox(
        "For the ID class",
        classes,
        format_func=lambda name: f"{name} ({counts[name]:,})" if name else "any",
        help="Labels that were rejected as a subcategory of this class, or as the same word.",
        **bound(view, "id_class", view.id_class if view.id_class in classes else "", label=""),
    )
    lacking = set() if run.scored_sets and not view.blind else {"impact"}
    if verdicts.table["unsure"].isna().all():
        lacking.add("unsure")
    offered = [order for order in ORDERS if order not in lacking]
    fourth.selectbox(
        "Order",
        offered,
        format_func=lambda order: ORDERS[order][0],
        help="\n".join(f"- **{name}**: {meaning}" for name, meaning in ORDERS.values()),
        **bound(view, "order", view.order if view.order in offered else offered[0], label=""),
    )


def _progress(view: ReviewView, queue: Queue) -> None:
    reviewed, total = queue.progress
    if total:
        st.progress(reviewed / total, f"**{reviewed:,} of {total:,}** reviewed" + (" by you" if view.blind else ""))


def _outdated_scores(run: Run, view: ReviewView) -> None:
    """Say that the stored scores are of other negatives than the run has now."""
    if found := outdated(run):
        st.caption(
            f"The stored scores of {plain(', '.join(sorted(found)))} are of the negatives {since(found)}. The "
            "figures here are worked out anew; score again to have them on every page."
        )
        st.page_link(links.page("score"), label="Score again", icon=":material/play_circle:", query_params=view.query())


def _row(view: ReviewView, queue: Queue) -> pd.Series | None:
    """The label on the card: the URL's, else the next that nobody has reviewed."""
    if view.label:
        row = queue.row(view.label)
        if row is not None:
            return row
        st.warning(f"“{plain(view.label[:80])}” is no mined negative of this run; here is the next to review.")
    labels = queue.labels
    label = queue.open_after() or (labels[0] if labels else None)
    if label is None:
        st.info(_empty(view, queue), icon=":material/inbox:")
        return None
    return queue.row(label)


def _empty(view: ReviewView, queue: Queue) -> str:
    if view.search or view.id_class:
        return "No label passes these filters. Empty the search, or choose another class or queue."
    if view.queue == "unreviewed":
        return "Every label is reviewed. Choose “Every negative” to look through them again."
    if view.queue == "overridden":
        return "You have not overridden any verdict yet. Choose “All rejections” to begin."
    return "This queue is empty. Choose another, such as “Every negative”."


def _heading(view: ReviewView, queue: Queue, row: pd.Series) -> None:
    place, total = queue.place(row["label"]), int(queue.inside.sum())
    where = f"{place:,} of {total:,}" if place else "not in this queue"
    kept = row["decision"] == KEPT
    badges = [":green-badge[:material/check: kept]" if kept else ":red-badge[:material/close: dropped]"]
    if row["kind"]:
        badges.append(f":gray-badge[{row['kind']}]")
    if row["overridden"]:
        badges.append(":blue-badge[overridden]")
    elif row["reviewed"]:
        badges.append(":blue-badge[reviewed]")
    if view.blind:
        badges.append(":violet-badge[:material/visibility_off: blind]")
    with st.container(horizontal=True, vertical_alignment="center"):
        if view.image:
            st.page_link(
                links.page("image"),
                label="Back to the picture",
                icon=":material/arrow_back:",
                query_params=view.query(label=""),
            )
        st.markdown(" ".join(badges))
        st.space("stretch")
        st.markdown(where)
    if row["reviewed"]:
        reason = f": “{plain(row['reason'])}”" if row["reason"] else ""
        st.caption(f"Decided by {plain(row['who'])} on {plain(row['time'][:10])}{reason}")


def review() -> None:
    frame.page("review", "Review", ReviewView, _draw)
