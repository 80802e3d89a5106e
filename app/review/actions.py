"""What a person does in the review: decide, skip, undo, go on; one label or all of a queue, by key or by mouse."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from negrefine_core import overrides
from negrefine_core.overrides import DROPPED, KEPT
from negrefine_core.runs import Run

from ..shared.errors import told
from ..shared.reviewer import reviewer
from ..shared.view import change, now
from ..shared.words import plain
from .queue import Queue
from .view import ReviewView

BULK = "review_bulk"  # (lines in the log, how many of them one bulk action wrote): one undo takes them all


def decision_buttons(run: Run, view: ReviewView, queue: Queue, row: pd.Series) -> None:
    """The row of buttons; each names its key."""
    label, kept = row["label"], row["decision"] == KEPT
    onward = queue.open_after(label) or queue.neighbour(label, 1) or label
    before, after = queue.neighbour(label, -1), queue.neighbour(label, 1)
    with st.container(horizontal=True, gap="xsmall"):
        _button(
            "Agree",
            "K",
            f"It stays {row['decision']}, and counts as reviewed.",
            _decide,
            (run, view, label, row["decision"], onward),
            primary=True,
        )
        _button(
            "Restore",
            "S",
            "Put the label back among the negatives.",
            _decide,
            (run, view, label, KEPT, onward),
            disabled=kept,
        )
        _button(
            "Drop",
            "D",
            "Take the label out of the negatives.",
            _decide,
            (run, view, label, DROPPED, onward),
            disabled=not kept,
        )
        _button("Skip", "J", "Decide nothing, and go to the next label that nobody has reviewed.", _go, (view, onward))
        _button(
            "Undo",
            "U",
            "Take back the last decision on this run, and go back to its label.",
            _undo,
            (run, view),
            disabled=not _any_decision(run),
        )
        _button("Previous", "Left", "In the queue’s order, reviewed or not.", _go, (view, before), disabled=not before)
        _button("Next", "Right", "In the queue’s order, reviewed or not.", _go, (view, after), disabled=not after)


def _button(
    words: str,
    shortcut: str,
    explained: str,
    do: Callable[..., None],
    args: tuple[Any, ...],
    disabled: bool = False,
    primary: bool = False,
) -> None:
    st.button(
        words,
        key=f"review_{shortcut}",
        shortcut=shortcut,
        help=explained,
        on_click=do,
        args=args,
        disabled=disabled,
        type="primary" if primary else "secondary",
    )


def reason_field() -> None:
    st.text_input(
        "Reason (optional)",
        key="review_reason",
        max_chars=500,
        label_visibility="collapsed",
        placeholder="Reason (optional): write it before you decide; it is kept with the decision",
    )


def _any_decision(run: Run) -> bool:
    return bool(overrides.can_undo(run.overrides))


def _go(view: ReviewView, label: str) -> None:
    change(view, label=label)


def _filters(view: ReviewView) -> tuple[str, ...]:
    return view.queue, view.order, view.search, view.id_class


@told
def _decide(run: Run, view: ReviewView, label: str, decision: str, onward: str) -> None:
    name, reason = reviewer(), str(st.session_state.get("review_reason", "")).strip()
    changed = overrides.override(run, [label], decision, name, reason)
    if not changed:
        overrides.confirm(run, [label], name, reason)
    st.session_state["review_reason"] = ""
    is_queue_as_seen = _filters(now(view)) == _filters(view)
    change(view, label=onward if is_queue_as_seen else "")
    done = {KEPT: "Restored", DROPPED: "Dropped"}[decision] if changed else "Left as it is:"
    st.toast(f"{done} “{plain(label)}”. U takes it back.")


@told
def _undo(run: Run, view: ReviewView) -> None:
    lines, count = st.session_state.pop(BULK, (0, 1))
    undone = overrides.undo(run, reviewer(), count if len(run.overrides) == lines else 1)
    if undone:
        change(view, label=undone[-1].negative)
        what = f"{len(undone):,} decisions" if len(undone) > 1 else f"the decision on “{plain(undone[0].negative)}”"
        st.toast(f"Took back {what}.")
