"""Which image set shows the ID classes: asked where nobody has said, as no figure rests on a guess."""

import streamlit as st

from negrefine_core import jobs
from negrefine_core.runs import Run

from .errors import told
from .words import plain


def ask_id_set(run: Run) -> None:
    """The question; its answer is kept as the set's role, and the metrics are computed."""
    st.info(
        "Nobody has said yet which pictures show your classes, so which count as in-distribution (ID) and which as "
        "something else (out-of-distribution, OOD) is not known, and there are no figures.",
        icon=":material/help:",
    )
    st.radio(
        "Which image set shows your ID classes?",
        run.scored_sets,
        index=None,
        key=_key(run),
        format_func=lambda name: plain(name.replace("_", " ")),
        on_change=_keep,
        args=(run,),
    )


def _key(run: Run) -> str:
    return f"id_question_{run.name}"


@told
def _keep(run: Run) -> None:
    answer = st.session_state[_key(run)]
    if answer:
        run.set_role(answer, is_id=True)
        jobs.start(jobs.Spec(title=f"Compute the metrics of “{answer}”", run=run.name, steps=(jobs.Evaluate(),)))
