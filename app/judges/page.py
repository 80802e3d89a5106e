"""Judges: which judge, asked in which words; tried on labels that people decided before a run is refined with it."""

import streamlit as st

from negrefine_core import jobs
from negrefine_core.jobs import Job
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
    job = _job(run)
    if not run.is_refined:
        if job:
            job_panel(job, api_key)
        if not job or job.state not in jobs.ACTIVE:
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
    is_trial = job and any(isinstance(step, jobs.Try) for step in job.spec.steps)
    tried = results(run, view, standard, file, None if is_trial else job)
    st.divider()
    st.subheader("Try a judge")
    if is_trial and job:
        job_panel(job, api_key)
    if any(each.spec.run == run.name for each in jobs.active()):
        if not is_trial:
            st.caption("Another job of this run is at work. Judges can be tried once it is done.")
    else:
        try_form(run, standard, file, tried or [])


def _job(run: Run) -> Job | None:
    """The run's latest job that asks a judge, while it is at work or did not get through."""
    asking = (job for job in jobs.all_jobs() if job.spec.run == run.name)
    latest = next((job for job in asking if any(isinstance(s, jobs.Try | jobs.Refine) for s in job.spec.steps)), None)
    return latest if latest and latest.state != "done" else None


def judges() -> None:
    frame.page("judges", "Judges", JudgesView, _draw)
