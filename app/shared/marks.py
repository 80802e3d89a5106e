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
from .view import View, change, now
from .words import percent, plain

CLASS = "mark_class"  # the key of the widget that names a picture's class, with its address
FIGURES = (
    "Of the marked pictures; marked in random order, they stand for the whole set. ID is the positive class of FPR@95. "
    "In brackets: 95% intervals; Newcombe’s of AUROC, made for few pictures, and by resampling of FPR@95. Right class: "
    "how many of your classes are most similar to their own, of those whose class was said."
)


@dataclass(frozen=True)
class _Choice:
    """One answer to what a picture is taken for, and what it says that the picture shows."""

    key: str
    words: str
    explained: str
    is_id: bool
    id_label: str = ""
    not_label: str = ""


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
        _Choice(
            "A",
            "Another of my classes",
            f"It shows one of your classes, but not {plain(label)}. Or choose it in the list, to say which.",
            is_id=True,
            not_label=label,
        ),
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
                args=(run, view, str(Address.of(image)), choice, onward),
            )
        _which_class(run, view, image, onward)
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


def _which_class(run: Run, view: View, image: pd.Series, onward: str) -> None:
    """Its class by name, which marks it, too: the most similar ones first, and none preset, for it would be a guess."""
    first = [str(label) for label in image["id_labels"]]
    address = str(Address.of(image))
    st.selectbox(
        "Which of my classes it shows",
        [*first, *(label for label in run.id_labels if label not in first)],
        index=None,
        key=f"{CLASS}_{address}",
        placeholder="It is one of my classes: …",
        label_visibility="collapsed",
        width=250,
        on_change=_mark_class,
        args=(run, view, address, onward),
    )


def said(entry: Mark) -> str:
    """What a mark says that the picture shows."""
    if not entry.is_id:
        return "none of your classes"
    if entry.id_label:
        return f"shows *{plain(entry.id_label)}*"
    return "shows one of your classes" + (f", but not *{plain(entry.not_label)}*" if entry.not_label else "")


def marks_line(run: Run, images: ScoredImages) -> None:
    """How many pictures are marked, how many of them the threshold takes for what they are, and the score's metrics."""
    known = marked(run, images.sets.alone)
    if not known:
        st.caption(
            f"Nothing is marked yet. Say of {ENOUGH} pictures that they show one of your classes, and of {ENOUGH} that "
            "they do not: then there are figures, and a threshold from your marks.",
            width="content",
        )
        return
    truth = _truth(run, images.sets.alone)
    inside = int(truth["is_id"].sum())
    facts = [f"**{len(truth):,} marked**: {inside:,} of your classes, {len(truth) - inside:,} of none"]
    if len(truth):
        facts.append(f"right at this threshold {_share(marks.right(truth, images.score.column, images.threshold))}")
    named = marks.right_class(truth, known)
    if named.total:
        unnamed = f", {inside - named.total:,} more of yours without a class" if inside > named.total else ""
        facts.append(f"right class {_share(named)}{unnamed}")
    if marks.is_enough(known.values()):
        facts += _figures(truth, _measured(run, images.sets.alone, images.score.column))
    else:
        facts.append(f"for AUROC and FPR@95 still to mark: {_missing(inside, len(truth) - inside)}")
    st.markdown(" · ".join(facts), help=FIGURES, width="content")


def _missing(inside: int, outside: int) -> str:
    """How many pictures of which kind are to be marked before there are metrics."""
    kinds = ((ENOUGH - inside, "of your classes"), (ENOUGH - outside, "of none of them"))
    return " and ".join(f"**{count} {kind}**" for count, kind in kinds if count > 0)


def _share(share: marks.Share) -> str:
    low, high = share.interval.low, share.interval.high
    return f"{share.count:,} of {share.total:,} ({percent(low)} to {percent(high)})"


def _figures(truth: pd.DataFrame, row: Measured) -> list[str]:
    area, (low, high) = marks.auroc_bounds(truth, row.auroc), row.intervals["fpr95_interval"]
    spread = f"{percent(low)} to {percent(high)}" if low < high else "no interval: the marked ones do not overlap yet"
    return [
        f"AUROC **{percent(row.auroc)}** ({percent(area.low)} to {percent(area.high)})",
        f"FPR@95 **{percent(row.fpr95)}** ({spread})",
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
def _mark(run: Run, view: View, address: str, choice: _Choice, onward: str) -> None:
    picture = Address.parse(address)
    marks.mark(run, picture.image_set, picture.path, choice.is_id, reviewer(), choice.id_label, choice.not_label)
    _go_on(view, address, onward)


@told
def _mark_class(run: Run, view: View, address: str, onward: str) -> None:
    picture, label = Address.parse(address), st.session_state[f"{CLASS}_{address}"]
    if label:
        marks.mark(run, picture.image_set, picture.path, True, reviewer(), label)
        _go_on(view, address, onward)


def _go_on(view: View, address: str, onward: str) -> None:
    """To the next picture; after the last one that was not marked yet to none, where the page says so."""
    change(view, image=onward or ("" if now(view).marked == "no" else address))


@told
def _undo(run: Run, view: View, image_set: str) -> None:
    """Back to the picture whose mark is taken back."""
    if last := marks.unmark(run, image_set, reviewer()):
        change(view, image=str(Address(image_set, last.path)))
