"""Scores that are of other negatives than the run has now: worked out once, and said on the pages that show them."""

import contextlib

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.overrides import judged_negatives, outdated_scores
from negrefine_core.runs import Run

from . import links
from .cached import cached_by
from .view import View


@cached_by(
    lambda run: run.state("run.json", "negatives.csv", "overrides.jsonl", "verdicts.jsonl", scores=run.scored_sets),
    max_entries=64,
)
def outdated(run: Run) -> dict[str, int]:
    """The image sets concerned, and how many decisions have changed since."""
    return outdated_scores(run)


@cached_by(lambda run: run.state("overrides.jsonl", "negatives.csv", "verdicts.jsonl"), max_entries=16)
def overridden(run: Run) -> bool:
    """Whether overrides change the negatives."""
    return run.path("overrides.jsonl").exists() and judged_negatives(run) != run.negatives


def since(found: dict[str, int]) -> str:
    """Of which negatives the scores are."""
    changes = max(found.values())
    if changes > 1:
        return f"before your {changes:,} changes"
    return "before your change" if changes else "of before"


def outdated_notice(run: Run, view: View) -> None:
    """One line with the way out, where there is something to say; a damaged log hides no scores: Review names it."""
    with contextlib.suppress(NegRefineError):
        if found := outdated(run):
            st.page_link(
                links.page("score"),
                label=f"These scores are of the negatives {since(found)}. **Score again**",
                icon=":material/update:",
                query_params=view.query(),
            )
