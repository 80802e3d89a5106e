"""A background job on screen: how far it is, cancel and resume, what came of it; and a line on it in the sidebar."""

from collections.abc import Callable

import streamlit as st

from negrefine_core import jobs
from negrefine_core.errors import NegRefineError
from negrefine_core.jobs import Job, Progress
from negrefine_core.models import gigabytes
from negrefine_core.runs import Run

from . import clicks, errors, links
from .view import View
from .words import duration, pace, plain


def job_panel(job: Job, api_key: Callable[[], str] = str) -> None:
    """One job, drawn anew each second while it is at work; the page is drawn once more when it ends.

    `api_key` says the judge's key, for a job that is resumed.
    """
    if job.state in jobs.ACTIVE:
        with st.container(border=True):
            _at_work(job)
    else:
        _ended(job, api_key)


def work_on(run: Run) -> bool:
    """In place of a page whose run is still being made: the job that makes it. False where none is at work."""
    made_by = [job for job in jobs.active() if job.spec.run == run.name]
    if not made_by:
        return False
    st.info(
        "This run is still being made. What it lacks shows here once that is done.", icon=":material/hourglass_top:"
    )
    job_panel(made_by[-1])
    return True


@st.fragment(run_every=1.0)
def _at_work(job: Job) -> None:
    state, progress = job.state, job.progress
    if state not in jobs.ACTIVE:
        clicks.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(job.spec.title)}** · {plain(_step(job, state, progress))}")
        st.space("stretch")
        st.button(
            "Cancel",
            icon=":material/stop_circle:",
            key=f"cancel_{job.id}",
            on_click=_cancel,
            args=(job,),
            help="Stops within two seconds. What is finished is kept, and the job can be resumed.",
        )
    st.progress(_share(progress), text=_speed(progress))


def _cancel(job: Job) -> None:
    try:
        job.cancel()
    except NegRefineError as error:
        errors.show(error, "toast")  # its fragment alone is drawn anew, and not the page that tells of trouble


@errors.told
def _resume(job: Job, api_key: Callable[[], str]) -> None:
    job.resume(api_key())


def _step(job: Job, state: str, progress: Progress) -> str:
    if state == "queued":
        return "waiting for the job before it" if progress.device else "starting"
    steps = len(job.spec.steps)
    return (f"step {progress.number} of {steps}: " if progress.number and steps > 1 else "") + progress.step


def _share(progress: Progress) -> float:
    return min(1.0, max(0.0, progress.share))


def _speed(progress: Progress) -> str:
    """What the step has done, how quickly, and how long the whole job still takes, as far as that is known."""
    if progress.waiting:
        return plain(progress.waiting)
    parts = [f"{_share(progress):.0%}"]
    if progress.total:
        parts += _counted(progress)
    if progress.eta is not None and progress.eta >= 1:
        parts.append(f"about {duration(progress.eta)} left")
    return " · ".join(parts)


def _counted(progress: Progress) -> list[str]:
    """How much of the step is done, and how quickly."""
    is_download = progress.unit == "bytes"
    if is_download:
        parts = [f"{gigabytes(progress.done)} of {gigabytes(progress.total)}"]
    else:
        parts = [f"{progress.done:,} of {progress.total:,} {progress.unit}"]
    if progress.done == progress.total:
        parts.append("checking it" if is_download else "computing and writing")
    elif progress.rate:
        parts.append(f"{gigabytes(progress.rate)} a second" if is_download else pace(progress.rate, progress.unit))
    return parts


def _ended(job: Job, api_key: Callable[[], str]) -> None:
    if job.is_dismissed:
        return
    state, progress, title = job.state, job.progress, plain(job.spec.title)
    done = "; ".join(progress.messages)
    if state == "done":
        st.success(f"**{title}** is done: {plain(done)}.", icon=":material/check_circle:")
        return
    if state == "failed":
        st.error(f"**{title}** failed: {plain(progress.error)}", icon=":material/error:")
    else:
        why = "was cancelled" if state == "cancelled" else "was interrupted: its process ended before its work did"
        st.warning(f"**{title}** {why}. What was finished is kept.", icon=":material/pause_circle:")
    with st.container(horizontal=True):
        st.button(
            "Try again" if state == "failed" else "Resume",
            icon=":material/resume:",
            key=f"resume_{job.id}",
            on_click=_resume,
            args=(job, api_key),
            help="Does the same again and goes on where it stopped.",
        )
        st.button(
            "Dismiss",
            icon=":material/close:",
            key=f"dismiss_{job.id}",
            on_click=job.dismiss,
            help="Shows it no more. What was finished is kept.",
        )


def jobs_in_sidebar(view: View) -> None:
    """A line in the sidebar of every page while jobs are at work."""
    if jobs.active():
        with st.sidebar:
            _line(view)


@st.fragment(run_every=2.0)
def _line(view: View) -> None:
    active = jobs.active()
    if not active:
        label, icon = "Background work is done", ":material/check_circle:"
    else:
        running = next((job for job in active if job.state == "running"), active[-1])
        share = f", {_share(running.progress):.0%}" if running.progress.share else ""
        noun = "job" if len(active) == 1 else "jobs"
        label, icon = (
            f"{len(active)} {noun} running{share}: {plain(running.spec.title)}",
            ":material/progress_activity:",
        )
    query = view.query(run=running.spec.run or view.run) if active else view.query()
    st.page_link(links.page("score"), label=label, icon=icon, query_params=query)
