"""Reviewing blind: a person's own decisions, which the run does not follow and which nobody else sees until they are
merged."""

import streamlit as st

from negrefine_core import reviews
from negrefine_core.overrides import Seen
from negrefine_core.records import Override
from negrefine_core.runs import Run

from ..shared.reviewer import has_name, reviewer
from ..shared.view import bound
from ..shared.words import plain
from .view import ReviewView

HIDDEN = (
    "While you review blind, what others decided and what a decision does are not shown, and your own change nothing. "
    "With “Review blind” off, “Two people” at the foot of “Label by label” compares and merges."
)


def switch(view: ReviewView) -> None:
    st.sidebar.toggle(
        "Review blind",
        help="Your decisions are kept apart under your name: the run does not follow them, and you see nobody else’s, "
        "until two people’s are merged. Other people’s decisions are hidden, and what a decision does; the judge’s "
        "verdict and what speaks against it are on the card as ever.",
        **bound(view, "blind", label="", level="label"),
    )


def is_named() -> bool:
    """Whether it is known whose review it is; else a word that it must be."""
    if not has_name():
        st.info("A blind review is somebody’s own: write your name in the sidebar first.", icon=":material/person:")
    return has_name()


def own_log(run: Run) -> list[Override]:
    """The reviewer's own lines, as if the run followed them."""
    return reviews.as_overrides(reviews.own_log(run, reviewer()))


def decide(run: Run, label: str, decision: str, reason: str, seen: Seen) -> list[Override]:
    """Raises DecidedMeanwhileError where the reviewer decided on the label in another window."""
    return reviews.as_overrides(reviews.decide(run, reviewer(), {label: (decision, reason)}, seen.until))


def undo(run: Run, until: int) -> list[Override]:
    """Take the reviewer's own last decision back. Raises DecidedMeanwhileError as `decide`."""
    return reviews.as_overrides(reviews.undo(run, reviewer(), seen=until))


def undo_help(last: list[Override]) -> str:
    return f"Take back your last decision, on “{plain(last[-1].negative)}”." if last else "You have not decided yet."
