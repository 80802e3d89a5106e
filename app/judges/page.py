"""Judges: which judge, asked in which words; tried on labels that people decided before a run is refined with it."""

import streamlit as st

from negrefine_core import jobs
from negrefine_core.runs import Run

from ..shared import frame, links
from ..shared.job_panel import job_panel
from ..shared.judge_key import api_key
from .results import results
from .standard import choose_standard, describe, sample_to_decide
from .try_form import try_form
from .view import JudgesView


def _draw(run: Run, view: JudgesView) -> None:
    st.caption(
        "Which judge, asked in which words? Each is tried on labels that people decided, and the one that decides most "
        "like them refines the run."
    )
    is_at_work = _job(run)
    if not run.is_refined:
        if not is_at_work:
            st.info(
                "This run is not refined yet, so nobody could decide on its labels. Refine it first; WordNet does so "
                "offline, in seconds.",
                icon=":material/gavel:",
            )
            links.next_action("classes", "Refine", ":material/gavel:", view.query(step="refine"))
        return
    standard, file = choose_standard(run, view)
    if standard.missing:
        sample_to_decide(run, view, standard)
        return
    describe(standard)
    results(run, view, standard, file)
    if not is_at_work:
        st.divider()
        try_form(run, standard, file)


def _job(run: Run) -> bool:
    """The run's latest job that asks a judge, while it is at work or did not get through. Whether one is at work."""
    its = [job for job in jobs.all_jobs() if job.spec.run == run.name]
    asking = [job for job in its if any(isinstance(step, jobs.Try | jobs.Refine) for step in job.spec.steps)]
    for job in asking[:1]:
        if job.state != "done":
            job_panel(job, api_key)
    return any(job.state in jobs.ACTIVE for job in its)


def judges() -> None:
    frame.page("judges", "Judges", JudgesView, _draw)
