"""Where a run's negatives were mined otherwise than in the paper: said wherever its figures are shown."""

import streamlit as st

from negrefine_core.hyperparameters import FRACTION
from negrefine_core.lexicon import ADJECTIVE_FILES, NOUN_FILES
from negrefine_core.run_files.info import Settings
from negrefine_core.runs import Run

from .words import plain

FILES = 4  # named one by one; more are counted


def unlike_paper(settings: Settings) -> str:
    """One sentence, and nothing where the mining was the paper's."""
    ours, papers = (*settings.noun_files, *settings.adjective_files), (*NOUN_FILES, *ADJECTIVE_FILES)
    named = " and ".join(map(plain, ours)) if len(ours) <= FILES else f"{len(ours)} of its files"
    share = "all words" if settings.fraction == 1 else f"the {100 * settings.fraction:g}% least similar words"
    extra = [plain(file) for file in ours if file not in papers]
    without = f", without {' and '.join(extra)}" if extra else ""
    if set(ours) != set(papers):
        return (
            f"Not the paper’s settings: the negatives are {share} of WordNet’s {named}; the paper takes the "
            f"{100 * FRACTION:g}% least similar of {len(papers)} files{without}."
        )
    if settings.fraction != FRACTION:
        return f"Not the paper’s settings: {share} are negatives; the paper takes {100 * FRACTION:g}%."
    return ""


def unlike_paper_notice(run: Run) -> None:
    if words := unlike_paper(run.settings):
        st.caption(f":material/tune: {words}")
