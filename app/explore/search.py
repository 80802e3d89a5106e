"""Search in Explore: by words, or by a picture that others are to be like; the images and the labels nearest to it."""

import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

from ..shared import background, errors, features
from ..shared.address import Address
from ..shared.review_link import review_url
from ..shared.scored_images import ScoredImages
from ..shared.search import LONGEST, feature, what
from ..shared.view import NEAREST, bound, change, picked
from ..shared.words import plain
from .view import ExploreView

LABELS = 6  # of each kind
KINDS = {"id": "Your classes", "kept": "Negatives, kept", "rejected": "Negatives, rejected"}
HELP = (
    "In words such as “striped animal”: the images whose features are most similar to them by the run’s own model, and "
    "the labels. The words are embedded as a class of that name would be, so a similarity (100 × cosine) is the one "
    "that a class of that name would have. To search by a picture, open it and choose “More like this”."
)


def search_box(view: ExploreView) -> None:
    st.text_input(
        "Search the images",
        max_chars=LONGEST,
        placeholder="Search: striped animal",
        icon=":material/image_search:",
        label_visibility="collapsed",
        **bound(view, "words", view.words[:LONGEST]) | {"on_change": lambda: _search(view)},
    )


def search_line(view: ExploreView, images: ScoredImages) -> None:
    """What was searched for, how many images are looked at, and the way back to all."""
    if "similarity" not in images.table:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"The **{len(images.looked_at):,}** of {len(images.table):,} images nearest to {_sought(view)}",
            width="content",
            help=HELP,
        )
        st.selectbox(
            "How many",
            list(NEAREST),
            format_func=NEAREST.__getitem__,
            label_visibility="collapsed",
            width=140,
            **bound(view, "nearest", page=1),
        )
        st.button(
            "Stop searching",
            icon=":material/close:",
            on_click=change,
            args=(view,),
            kwargs={"words": "", "like": "", "sort": "wrong", "page": 1},
        )


def nearest_labels(run: Run, view: ExploreView) -> None:
    """The labels nearest to it, of each kind; a negative leads to its card in Review."""
    st.markdown(
        "**Labels nearest to it**",
        help="By their similarity (100 × cosine) to what is searched for: what the model would call it. A negative "
        "opens its card in Review, in a new tab.",
    )
    try:
        found = _labels(run, view)
    except NegRefineError as error:
        errors.show(error, "info")
        return
    if found is None:
        return
    for kind, title in KINDS.items():
        some = found[found["kind"] == kind].nlargest(LABELS, "similarity")
        pairs = zip(some["label"], some["similarity"], strict=True)
        words = [_label(run, view, label, value, kind) for label, value in pairs]
        st.markdown(f"{title}: {' · '.join(words) or 'none'}")


def _label(run: Run, view: ExploreView, label: str, similarity: float, kind: str) -> str:
    name = plain(label)
    return f"{name if kind == 'id' else f'[{name}]({review_url(view, run, label)})'} {similarity:.1f}"


def _sought(view: ExploreView) -> str:
    return f"“{plain(view.words)}”" if view.words.strip() else f"the picture {plain(Address.parse(view.like).path)}"


def _search(view: ExploreView) -> None:
    words = picked("words")
    change(view, words=words, like="", sort="similar" if words else "wrong", page=1)


def _labels(run: Run, view: ExploreView) -> pd.DataFrame | None:
    """`label`, `kind` and `similarity`; None and a sign of what is missing or under way."""
    words, like = view.words.strip(), view.like
    sought = what(run, words, like)
    if not features.at_hand(run, "Loading the model"):
        return None
    key = ("labels", run.state("run.json", "negatives.csv", "verdicts.jsonl", "overrides.jsonl"), sought)
    return background.result(key, lambda: _compared(run, words, like), "Comparing the labels")


def _compared(run: Run, words: str, like: str) -> pd.DataFrame:
    from negrefine_core import pipeline
    from negrefine_core.scoring import similarity

    final, sought = features.detector(run), feature(run, words, like)  # (1, D)
    kept = set(final.negatives)
    rejected = [negative for negative in run.reviewable if negative.label not in kept]
    parts = [("id", final.id_labels, final.id_features), ("kept", final.negatives, final.negative_features)]
    if rejected:
        others = pipeline.detector(run, features.encoder(run), rejected)
        parts.append(("rejected", others.negatives, others.negative_features))
    tables = [
        pd.DataFrame({"label": labels, "kind": kind, "similarity": similarity(sought, compared)[0].numpy()})
        for kind, labels, compared in parts
    ]
    return pd.concat(tables, ignore_index=True)
