"""What a person does in the review: decide, skip, undo, go on; one label or all of a queue, by key or by mouse."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st

from negrefine_core import overrides, reviews
from negrefine_core.decisions import next_number
from negrefine_core.overrides import DROPPED, KEPT, DecidedMeanwhileError, Seen
from negrefine_core.records import Override
from negrefine_core.runs import Run

from ..shared.errors import told
from ..shared.reviewer import reviewer
from ..shared.view import change, now
from ..shared.words import plain
from . import blind
from .queue import Queue
from .view import ReviewView

BULK = "review_bulk"  # (run, number after the log's last, lines that one bulk action wrote): one undo takes them all
SAID = "review_said"  # (run, number after the log's last, "merged" or "settled", what was written)
OWN, OWN_BLIND = "review_own", "review_own_blind"  # (run, number) of the lines that this session wrote in each log


def decision_buttons(run: Run, view: ReviewView, queue: Queue, row: pd.Series, onward: str = "") -> None:
    """The row of buttons; each names its key. `onward` is the label that comes after, if not the queue's next."""
    label, kept = row["label"], row["decision"] == KEPT
    seen, last = (
        queue.seen(row.to_frame().T),
        overrides.not_undone(queue.overrides)[-at_once(run, view, queue.until) :],
    )
    onward = onward or queue.open_after(label) or queue.neighbour(label, 1) or label
    before, after = queue.neighbour(label, -1), queue.neighbour(label, 1)
    with st.container(horizontal=True, gap="xsmall"):
        _button(
            "Keep it in" if kept else "Keep it out",
            "K",
            f"It stays {row['decision']}, as it is now, and counts as reviewed.",
            _decide,
            (run, view, label, row["decision"], onward, seen),
            primary=True,
        )
        if kept:
            drop = (run, view, label, DROPPED, onward, seen)
            _button("Drop", "D", "Take the label out of the negatives.", _decide, drop)
        else:
            restore = (run, view, label, KEPT, onward, seen)
            _button("Restore", "S", "Put the label back among the negatives.", _decide, restore)
        _button("Skip", "J", "Decide nothing, and go to the next label that nobody has reviewed.", _go, (view, onward))
        _button(
            "Undo",
            "U",
            blind.undo_help(last) if view.blind else _undo_help(last),
            _undo,
            (run, view, seen.until),
            disabled=not last,
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


def _undo_help(last: list[Override]) -> str:
    if not last:
        return "Nobody has decided anything on this run yet."
    entry = last[-1]
    if len(last) > 1:
        return f"Take back the {len(last):,} decisions that were made at once."
    return f"Take back the last decision on this run: {plain(entry.who)}’s, on “{plain(entry.negative)}”."


def _go(view: ReviewView, label: str) -> None:
    change(view, label=label)


def _filters(view: ReviewView) -> tuple[str, ...]:
    return view.queue, view.order, view.search, view.id_class, view.chosen, view.around


@told
def _decide(run: Run, view: ReviewView, label: str, decision: str, onward: str, seen: Seen) -> None:
    """Nothing, and back to the label, where somebody decided on it since the button was drawn.

    A key that is pressed twice may end the first callback wherever that uses Streamlit: what it wrote is noted before.
    """
    reason, own = str(st.session_state.get("review_reason", "")).strip(), own_lines(view.blind)
    try:
        if view.blind:
            written = blind.decide(run, label, decision, reason, seen)
        else:
            differ = reviews.disagreements(run).get(label, [])
            written = overrides.decide(run, label, decision, reviewer(), reason, seen)
            written = written or reviews.settle(run, [label], decision, reviewer(), reason)
            if differ and written:
                had = ", ".join(f"{plain(entry.who)} {entry.decision}" for entry in differ)
                keep_said(run, written, "settled", f"“{plain(label)}” is {decision}, and settled (said: {had}).")
        own.update(numbers(run, written))
        said = _done(written, label, decision)
    except DecidedMeanwhileError as error:
        if not error.lines or not own.issuperset(numbers(run, error.lines)):
            change(view, label=label)
            raise
        said = f"“{plain(label)}” is decided already: a key was pressed twice."
    st.session_state["review_reason"] = ""
    is_queue_as_seen = _filters(now(view)) == _filters(view)
    change(view, label=onward if is_queue_as_seen else "")
    st.toast(said)


def _done(written: list[Override], label: str, decision: str) -> str:
    if not written:
        return f"“{plain(label)}” was reviewed before; nothing new is written."
    if not written[0].old:
        return f"Noted as yours: “{plain(label)}” is {decision}. U takes it back."
    done = {KEPT: "Restored", DROPPED: "Dropped"}[decision] if written[0].old != decision else "Left as it is:"
    return f"{done} “{plain(label)}”. U takes it back."


@told
def _undo(run: Run, view: ReviewView, until: int) -> None:
    """Nothing where somebody else decided since the button was drawn: the last decision is then another."""
    own = own_lines(view.blind)
    if view.blind:
        undone = blind.undo(run, max([until, *(line + 1 for name, line in own if name == run.name)]))
    else:
        while (run.name, until) in own:
            until += 1
        undone = overrides.undo(run, reviewer(), at_once(run, view, until), until)
    own.update(numbers(run, undone))
    st.session_state.pop(BULK, None)
    if undone:
        change(view, label=undone[-1].negative)
        what = f"{len(undone):,} decisions" if len(undone) > 1 else f"the decision on “{plain(undone[0].negative)}”"
        st.toast(f"Took back {what}.")


def keep_said(run: Run, written: Sequence[Override], what: Literal["merged", "settled"], text: str) -> None:
    """Have the page say what was written, until something else is, and who signed it."""
    signed = ", ".join(dict.fromkeys(plain(entry.who) for entry in written))
    st.session_state[SAID] = (run.name, next_number(written), what, f"{text} Written into the run, signed {signed}.")


def say_written(run: Run, until: int, what: Literal["merged", "settled"]) -> None:
    """What the last decision wrote, where it was one of this kind."""
    name, end, kind, text = st.session_state.get(SAID, ("", 0, "", ""))
    if (name, end, kind) == (run.name, until, what):
        st.success(text, icon=":material/check:")


def at_once(run: Run, view: ReviewView, until: int) -> int:
    """How many decisions an undo takes back: all of a bulk action, where nothing came after it."""
    name, end, count = st.session_state.get(BULK, ("", 0, 1))
    return int(count) if (name, end) == (run.name, until) and not view.blind else 1


def own_lines(is_blind: bool = False) -> set[tuple[str, int]]:
    """What this session wrote, as `numbers` says it: its person knows of it before the page is drawn again."""
    own: set[tuple[str, int]] = st.session_state.setdefault(OWN_BLIND if is_blind else OWN, set())
    return own


def numbers(run: Run, lines: Sequence[Override]) -> set[tuple[str, int]]:
    return {(run.name, entry.number) for entry in lines}
