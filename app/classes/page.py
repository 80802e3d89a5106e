"""ID classes: edit the class list, mine its negatives as a new run, see what changed, and refine."""

import streamlit as st

from negrefine_core import jobs
from negrefine_core.errors import NegRefineError
from negrefine_core.jobs import Job
from negrefine_core.runs import Run

from ..shared import frame, links
from ..shared.job_panel import job_panel
from ..shared.judge_key import api_key
from ..shared.scored_images import scores
from ..shared.view import View, change, switch
from ..shared.words import plain, some
from .carry_over import carry_over_button
from .change_map import change_map
from .changes import what_changed
from .editor import class_editor
from .known_sets import score_known_sets
from .mining import mined, mining_jobs, sampled, warm_up
from .model_choice import model_form
from .own import own_classes
from .refine import refine_form, refine_outcome
from .remine import remine_form, settings_of_successor
from .view import STEPS, ClassesView


def _draw(run: Run, view: ClassesView) -> None:
    if view.begin:
        own_classes(run, view)
        return
    st.caption(
        "The ID classes are what your pictures may show (in-distribution). A change makes a **new run**: its negative "
        "labels are mined again, then a judge refines them. The run you start from stays as it is."
    )
    switch("Step", _steps(run, view), view, "step")
    {"edit": _edit, "changes": _changes, "refine": _refine}[view.step](run, view)


def _steps(run: Run, view: ClassesView) -> dict[str, str]:
    """Numbered; what changed is a step of the runs alone that were made from another one's classes."""
    steps = [step for step in STEPS if step in ("edit", "refine", view.step) or run.info.edited_from]
    return {step: f"{number} · {STEPS[step]}" for number, step in enumerate(steps, 1)}


def _edit(run: Run, view: ClassesView) -> None:
    warm_up(run)
    chosen = settings_of_successor(run, run)
    if view.first == "model":
        model_form(run, chosen, sampled(run))
        st.divider()
    names = class_editor(run, chosen)
    _folders(run, names)
    if run.is_refined:
        _map(view)
    st.divider()
    if view.first != "model":
        model_form(run, chosen, sampled(run))
    remine_form(run, names, chosen)


def _folders(run: Run, names: list[str]) -> None:
    """Whether the ID pictures' class folders go by the class names: for information."""
    id_set = run.id_set
    if not names or id_set is None:
        return
    folders = sorted({str(name) for name in scores(run, id_set)["class"].dropna().unique() if name})
    known, classes = {name.casefold() for name in names}, {name.casefold() for name in folders}
    missing = [name for name in folders if name.casefold().replace("_", " ") not in known]
    empty = [name for name in names if name.casefold() not in {c.replace("_", " ") for c in classes}]
    if not folders:
        return
    parts = []
    if missing:
        parts.append(
            f"Class folders of the ID pictures “{plain(id_set)}” that no class is named after: "
            f"{len(missing):,} ({some(missing, 5)}). Their pictures count as ID all the same."
        )
    if empty:
        parts.append(
            f"Classes without a folder of ID pictures in “{plain(id_set)}”: {len(empty):,} ({some(empty, 5)})."
        )
    for other in run.scored_sets:
        if run.role(other) == "OOD":
            also = sorted({str(name) for name in scores(run, other)["class"].dropna().unique()})
            also = [name for name in also if name.casefold().replace("_", " ") in known]
            if also:
                parts.append(f"“{plain(other)}” counts as OOD and has pictures of your classes: {some(also, 5)}.")
    if parts:
        st.info("  \n".join(parts), icon=":material/folder_open:")


def _changes(run: Run, view: ClassesView) -> None:
    if not _mined(run, view):
        return
    parent = _parent(run)
    if not parent:
        st.info(
            f"The run {plain(run.name)} was not made by editing another one’s classes, so there is nothing to "
            "compare. Edit its classes and re-mine."
        )
        return
    what_changed(parent, run)
    change_map(parent, run, view)
    st.button(
        "Refine these negatives",
        type="primary",
        icon=":material/arrow_forward:",
        key="to_refine",
        on_click=change,
        args=(view,),
        kwargs={"step": "refine"},
    )


def _mined(run: Run, view: ClassesView) -> bool:
    """The run's latest job, and whether its negatives are there."""
    found = mined(run)
    _job(run, view)
    return found


def _job(run: Run, view: ClassesView) -> None:
    """The run's latest job, while it is at work or did not get through, and when it has scored."""
    its = [job for job in jobs.all_jobs() if job.spec.run == run.name and not _only_draws(job)]
    job = next(iter(mining_jobs(run) if view.step == "changes" else its), None)
    if not job:
        return
    scored = any(isinstance(step, jobs.Score) for step in job.spec.steps)
    if scored or job.state != "done":
        job_panel(job, api_key)
    if scored and job.state == "done":
        _after_scoring(run, view)


def _only_draws(job: Job) -> bool:
    return all(isinstance(step, jobs.DrawMap) for step in job.spec.steps)


def _after_scoring(run: Run, view: ClassesView) -> None:
    parent = _parent(run)
    with st.container(horizontal=True):
        links.next_action("explore", "See the scores", ":material/bar_chart:", view.query())
        if parent and parent.scored_sets:
            st.page_link(
                links.page("compare"),
                label=f"Compare with {plain(parent.name)}",
                icon=":material/compare_arrows:",
                query_params=View(run=run.name).query(compare="runs", other=parent.name),
            )


def _parent(run: Run) -> Run | None:
    """The run whose class list was edited to make this one, if it is still there."""
    name = run.info.edited_from
    try:
        return Run.open(name) if name in frame.known_runs() else None
    except NegRefineError:
        return None


def _refine(run: Run, view: ClassesView) -> None:
    if not _mined(run, view) or any(job.spec.run == run.name for job in jobs.active()):
        return
    if run.is_refined:
        refine_outcome(run)
        with st.container(horizontal=True, vertical_alignment="center"):
            _score(run, view)
            st.page_link(
                links.page("review"),
                label="Review the decisions",
                icon=":material/rate_review:",
                query_params=view.query(),
            )
            _map(view)
            parent = _parent(run)
            if parent:
                carry_over_button(parent, run)
        score_known_sets(run, parent)
        st.divider()
    refine_form(run)


def _map(view: ClassesView) -> None:
    st.page_link(
        links.page("review"),
        label="See what lies around them",
        icon=":material/scatter_plot:",
        query_params=view.query(level="map", queue="all"),
    )


def _score(run: Run, view: ClassesView) -> None:
    """The way to one's own pictures: the next action, until some are scored."""
    label, icon, query = "Score my own pictures", ":material/add_photo_alternate:", view.query(source="files")
    if run.scored_sets:
        st.page_link(links.page("score"), label=label, icon=icon, query_params=query)
    else:
        links.next_action("score", label, icon, query)


def classes() -> None:
    frame.page("classes", "ID classes", ClassesView, _draw)
