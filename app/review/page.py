"""Review: one negative at a time, why the judge kept or rejected it, what that does, and a person's decision."""

import pandas as pd
import streamlit as st

from negrefine_core.overrides import KEPT
from negrefine_core.runs import Run

from ..shared import frame, links, outdated, reviewer
from ..shared.view import View, change
from ..shared.words import plain
from . import actions as review_actions
from . import bulk as review_bulk
from . import card as review_card
from . import effect as review_effect
from . import queue as review_queue
from .queue import ORDERS, QUEUES, Judged, Queue


def draw(run: Run, view: View) -> None:
    reviewer.name_field()
    judged = review_queue.judged(run)
    _choose(run, view, judged)
    queue = review_queue.queue(run, view, _impact(run) if view.order == "impact" else None)
    _progress(view, queue)
    review_actions.trouble()
    row = _row(view, queue)
    if row is not None:
        _heading(view, queue, row)
        review_actions.buttons(run, view, queue, row)
        review_actions.reason_field()
        left, right = st.columns([11, 9], gap="medium")
        with left:
            review_card.draw(run, judged, row)
        effect = right.container()
        review_card.questions(run, judged, row)
    review_bulk.draw(run, queue)
    if row is not None:
        with effect:  # last: everything else is there before the model is
            review_effect.draw(run, view, row)
            _outdated(run, view)


def _impact(run: Run) -> pd.Series:
    """Of how many images each label is among the top negatives, and each rejected one would be, once that is known."""
    stored, rejected = review_queue.stored_impact(run), review_effect.ranking(run)
    return stored if rejected is None else stored.add(rejected, fill_value=0)


def _choose(run: Run, view: View, judged: Judged) -> None:
    first, second, third, fourth = st.columns([3, 3, 3, 3])
    st.session_state["pick_queue"] = view.queue
    first.selectbox(
        "Queue", list(QUEUES), key="pick_queue", format_func=QUEUES.__getitem__,
        on_change=lambda: change(view, queue=st.session_state["pick_queue"], label=""),
        help="Which negatives to go through. Rejections are labels that the judge threw out.",
    )  # fmt: skip
    st.session_state["pick_search"] = view.search
    second.text_input(
        "Search", key="pick_search", placeholder="text in the label", max_chars=80, icon=":material/search:",
        on_change=lambda: change(view, search=st.session_state["pick_search"].strip(), label=""),
    )  # fmt: skip
    counts = judged.table.loc[judged.table["id_label"] != "", "id_label"].value_counts()
    classes = ["", *sorted(counts.index)]
    st.session_state["pick_class"] = view.id_class if view.id_class in classes else ""
    third.selectbox(
        "For the ID class", classes, key="pick_class",
        format_func=lambda name: f"{name} ({counts[name]:,})" if name else "any",
        on_change=lambda: change(view, id_class=st.session_state["pick_class"], label=""),
        help="Labels that were rejected as a subcategory of this class, or as the same word.",
    )  # fmt: skip
    offered = [order for order in ORDERS if order != "impact" or run.scored_sets]
    st.session_state["pick_order"] = view.order if view.order in offered else offered[0]
    fourth.selectbox(
        "Order", offered, key="pick_order", format_func=lambda order: ORDERS[order][0],
        on_change=lambda: change(view, order=st.session_state["pick_order"], label=""),
        help="\n".join(f"- **{name}**: {meaning}" for name, meaning in ORDERS.values()),
    )  # fmt: skip


def _progress(view: View, queue: Queue) -> None:
    reviewed, total = queue.progress
    if total:
        st.progress(reviewed / total, f"**{reviewed:,} of {total:,}** reviewed")


def _outdated(run: Run, view: View) -> None:
    """Say that the stored scores are of other negatives than the run has now."""
    if found := outdated.outdated(run):
        st.caption(
            f"The stored scores of {plain(', '.join(sorted(found)))} are of the negatives {outdated.since(found)}. The "
            "figures here are worked out anew; score again to have them on every page."
        )
        st.page_link(links.page("score"), label="Score again", icon=":material/play_circle:", query_params=view.query())


def _row(view: View, queue: Queue) -> pd.Series | None:
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


def _empty(view: View, queue: Queue) -> str:
    if view.search or view.id_class:
        return "No label passes these filters. Empty the search, or choose another class or queue."
    if view.queue == "unreviewed":
        return "Every label is reviewed. Choose “Every negative” to look through them again."
    if view.queue == "overridden":
        return "You have not overridden any verdict yet. Choose “All rejections” to begin."
    return "This queue is empty. Choose another, such as “Every negative”."


def _heading(view: View, queue: Queue, row: pd.Series) -> None:
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
    with st.container(horizontal=True, vertical_alignment="center"):
        if view.image:
            st.page_link(links.page("image"), label="Back to the picture", icon=":material/arrow_back:",
                         query_params=view.query(label=""))  # fmt: skip
        st.markdown(" ".join(badges))
        st.space("stretch")
        st.markdown(where)
    if row["reviewed"]:
        reason = f": “{plain(row['reason'])}”" if row["reason"] else ""
        st.caption(f"Decided by {plain(row['who'])} on {row['time'][:10]}{reason}")


def review() -> None:
    frame.page("review", "Review", draw)
