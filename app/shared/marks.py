"""A person's marks on a set of which nobody knows what it shows: their keys, their state, and the figures they give."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from negrefine_core import marks
from negrefine_core.marks import ENOUGH
from negrefine_core.metrics import Measured
from negrefine_core.operating_point import BY_CODE
from negrefine_core.records import Mark
from negrefine_core.runs import Run

from .address import Address
from .cached import cached_by
from .errors import told
from .reviewer import reviewer
from .scored_images import ScoredImages, marked, scores
from .view import View, change
from .words import percent, plain


@dataclass(frozen=True)
class _Choice:
    """One answer to what a picture is taken for, and what it says that the picture shows."""

    key: str
    words: str
    explained: str
    is_id: bool
    id_label: str = ""


def _choices(image: pd.Series) -> list[_Choice]:
    if not BY_CODE[image["outcome"]].accepted:
        return [
            _Choice("Y", "Right", "It shows none of your classes (OOD).", is_id=False),
            _Choice("N", "Wrong: it is one of my classes", "It shows one of your classes (ID).", is_id=True),
        ]
    label = str(image["id_labels"][0])
    return [
        _Choice("Y", "Right", f"It shows {plain(label)}.", is_id=True, id_label=label),
        _Choice("N", "Wrong: none of my classes", "It shows something else (OOD).", is_id=False),
        _Choice("A", "Another of my classes", f"It shows one of your classes, but not {plain(label)}.", is_id=True),
    ]


def mark_buttons(run: Run, view: View, images: ScoredImages, image: pd.Series, onward: str) -> None:
    """What the picture really shows, by a click or a key; then the next of the gallery's order is shown."""
    known = marked(run, images.sets.alone)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="marking"):
        for choice in _choices(image):
            st.button(
                choice.words,
                key=f"mark_{choice.key}",
                shortcut=choice.key,
                help=choice.explained,
                on_click=_mark,
                args=(run, view, str(Address.of(image)), choice.is_id, choice.id_label, onward),
            )
        st.button(
            "Undo",
            key="mark_U",
            shortcut="U",
            help="Take back the last mark on this set.",
            disabled=not known,
            on_click=_undo,
            args=(run, view, images.sets.alone),
        )
    if entry := known.get(image["path"]):
        st.caption(f":material/bookmark: Marked by {plain(entry.who)}: {said(entry)}.")


def said(entry: Mark) -> str:
    """What a mark says that the picture shows."""
    if not entry.is_id:
        return "none of your classes"
    return f"shows *{plain(entry.id_label)}*" if entry.id_label else "shows one of your classes"


def marks_line(run: Run, images: ScoredImages) -> None:
    """How many pictures are marked, how many of them the threshold takes for what they are, and the score's metrics."""
    known = marked(run, images.sets.alone)
    if not known:
        st.caption(
            f"Nothing is marked yet. Say of at least {ENOUGH} pictures that they show your classes, and of {ENOUGH} "
            "that they do not: then there are metrics.",
            width="content",
        )
        return
    truth = _truth(run, images.sets.alone)
    inside = int(truth["is_id"].sum())
    facts = [f"**{len(truth):,} marked**: {inside:,} of your classes, {len(truth) - inside:,} of none"]
    if len(truth):
        facts.append(f"right at this threshold {_share(marks.right(truth, images.score.column, images.threshold))}")
    if marks.is_enough(known.values()):
        facts += _figures(_measured(run, images.sets.alone, images.score.column))
        kept = "The figures are of the marked pictures; marked in random order, they stand for the whole set."
    else:
        kept = f"Metrics come with {ENOUGH} marked pictures of each kind."
    st.markdown(" · ".join(facts), help=f"{kept} In brackets: 95% intervals.", width="content")


def _share(share: marks.Share) -> str:
    low, high = share.interval.low, share.interval.high
    return f"{share.count:,} of {share.total:,} ({percent(low)} to {percent(high)})"


def _figures(row: Measured) -> list[str]:
    return [
        f"{name} **{percent(getattr(row, key))}** ({percent(low)} to {percent(high)})"
        for name, key in (("AUROC", "auroc"), ("FPR@95", "fpr95"))
        for low, high in (row.intervals[f"{key}_interval"],)
    ]


@cached_by(lambda run, image_set: run.state("marks.jsonl", scores=[image_set]), max_entries=16)
def _truth(run: Run, image_set: str) -> pd.DataFrame:
    return marks.with_truth(scores(run, image_set), marked(run, image_set))


@cached_by(
    lambda run, image_set, score: (run.state("marks.jsonl", scores=[image_set]), score), max_entries=64, keep="itself"
)
def _measured(run: Run, image_set: str, score: str) -> Measured:
    return marks.measured(_truth(run, image_set), score)


@told
def _mark(run: Run, view: View, address: str, is_id: bool, id_label: str, onward: str) -> None:
    picture = Address.parse(address)
    marks.mark(run, picture.image_set, picture.path, is_id, reviewer(), id_label)
    change(view, image=onward or address)


@told
def _undo(run: Run, view: View, image_set: str) -> None:
    """Back to the picture whose mark is taken back."""
    if last := marks.unmark(run, image_set, reviewer()):
        change(view, image=str(Address(image_set, last.path)))
