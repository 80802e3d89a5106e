"""What needs an ID and an OOD set: said in plain words where a run lacks one, with the one next action."""

import streamlit as st

from negrefine_core.runs import Run

from . import links
from .view import View
from .words import some


def ask_for_known_sets(run: Run, view: View, what: str) -> None:
    """`what` is a sentence on what cannot be shown without both."""
    lacking = [words for words, names in ((INSIDE, run.id_sets), (OUTSIDE, run.ood_sets)) if not names]
    unknown = run.unknown_sets
    said = f" Nobody has said what these show: {some(unknown, 5)}." if unknown else ""
    st.info(
        f"{what} That takes a set of pictures of your classes (ID) and one of something else (OOD), and this run has "
        f"no {' and no '.join(lacking)}.{said}",
        icon=":material/help:",
    )
    _how(run, view)


def need_known_sets(run: Run, view: View, what: str) -> None:
    """One line, below what can be shown without both."""
    st.caption(f"{what} need a set of your classes (ID) and one of something else (OOD).")
    _how(run, view)


def _how(run: Run, view: View) -> None:
    st.page_link(
        links.page("score"),
        label="Say what your pictures show, or score more" if run.scored_sets else "Score pictures",
        icon=":material/play_circle:",
        query_params=view.query(),
    )


INSIDE, OUTSIDE = "set of your classes", "set of something else"
