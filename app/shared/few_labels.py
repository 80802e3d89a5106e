"""That few labels change how a run is scored: said before it is, and wherever its scores are shown."""

import contextlib

import streamlit as st

from negrefine_core import scoring
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run


def few_labels_notice(run: Run) -> None:
    """One line, where there is something to say; labels that are damaged hide no scores: other pages name them."""
    with contextlib.suppress(NegRefineError):
        settings = run.settings
        notes = scoring.few_labels(len(run.id_labels), len(run.negatives), settings.n_groups, settings.top_k)
        if notes:
            st.caption(f":material/info: **Few labels.** {'. '.join(notes)}.")
