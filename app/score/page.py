"""Score: pictures in, scores out, as a background job that survives a reload; and the image sets scored so far."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core import jobs, paths
from negrefine_core.engines import is_ray_installed
from negrefine_core.errors import NegRefineError
from negrefine_core.jobs import Evaluate, Job, Score, Spec
from negrefine_core.methods import JUDGED
from negrefine_core.runs import Role, Run, others_with, remove_image_set

from ..shared import errors, frame, links
from ..shared.clicks import clicked
from ..shared.errors import told
from ..shared.few_labels import few_labels_notice
from ..shared.job_panel import job_panel
from ..shared.outdated import outdated, overridden, since
from ..shared.roles import missing_words
from ..shared.scored_images import sets_by_themselves
from ..shared.toy import toy_notice
from ..shared.view import View
from ..shared.words import plain
from .devices import devices
from .estimate import scoring_estimate
from .parts import ask_roles, check_distinct
from .roles import change_roles
from .sources import Chosen, choose_pictures, tell_of_upload, unpacked
from .view import ScoreView

NEWS = 900  # seconds: how long a finished job is told of
REMOVED = "score_removed"  # counts removals: a new key closes the popover for good
RAY = "ray"  # among the devices
SHOWN = {"ID": "ID", "OOD": "OOD", "unknown": "nobody knows"}


def _draw(run: Run, view: ScoreView) -> None:
    st.caption(
        "Each picture is compared with the run’s ID classes and negative labels, and gets a score: **higher = more "
        "in-distribution (ID)**. The work goes on when you leave this page, reload it or restart the app."
    )
    if not run.is_refined:
        _unrefined(run, view)
        _jobs(run, view)
        return
    _jobs(run, view)
    st.subheader("Score pictures")
    tell_of_upload()
    try:
        _new(run, view)
    except NegRefineError as error:
        errors.show(error)
    st.subheader("Scored so far")
    _scored(run)


def _unrefined(run: Run, view: ScoreView) -> None:
    """What there is to wait for, or to do, before pictures can be scored."""
    if any(job.spec.run == run.name for job in jobs.active()):
        st.info(
            "The negative labels of this run are being made. Its pictures can be scored once that is done.",
            icon=":material/hourglass_top:",
        )
        return
    st.info("This run has no refined negative labels yet, and scores need them.")
    label = "Mine and refine its negatives"
    links.next_action("classes", label, ":material/label:", view.query(step="refine", begin=""))


def _jobs(run: Run, view: ScoreView) -> None:
    """The jobs at work, of every run since they share a queue; and how this run's last one ended."""
    active = jobs.active()
    for job in reversed(active):
        job_panel(job)
    last = next((job for job in jobs.all_jobs() if job.spec.run == run.name), None)
    if last and (last.state not in (*jobs.ACTIVE, "done") or time.time() - (last.progress.ended or 0) < NEWS):
        job_panel(last)
        _after(run, last, view)


def _after(run: Run, job: Job, view: ScoreView) -> None:
    """Where to see what a scoring brought."""
    steps = [step for step in job.spec.steps if isinstance(step, Score)]
    if job.state != "done" or not steps:
        return
    first = steps[0].image_set
    alone = first if first in sets_by_themselves(run) else ""
    inside = next((step.image_set for step in steps if run.role(step.image_set) == "ID"), "")
    outside = tuple(step.image_set for step in steps if run.role(step.image_set) == "OOD")
    query = View(run=view.run, id=inside, ood=outside, alone=alone).query()
    links.next_action("explore", "See the images in Explore", ":material/bar_chart:", query)
    if overridden(run):
        st.page_link(
            links.page("compare"),
            label="Compare before and after your overrides",
            icon=":material/compare_arrows:",
            query_params=View(run=view.run).query(first=JUDGED),
        )


def _new(run: Run, view: ScoreView) -> None:
    chosen = choose_pictures(run, view)
    if view.source != "bundled":
        toy_notice(run, view)
    if not chosen:
        return
    check_distinct(chosen.parts)
    roles = chosen.roles or ask_roles(run, chosen.parts)
    device = _device(run)
    few_labels_notice(run)
    scoring_estimate(run, next(iter(devices())) if device in ("auto", RAY) else device, chosen.images)
    replaced = [name for name in chosen.names if name in run.scored_sets]
    if taken := [name for name in replaced if not _same_pictures(run, chosen, name)]:
        raise NegRefineError(
            f"The run has scores of other pictures under the name {taken[0]!r}. Choose another name, or remove that "
            "set below."
        )
    if replaced:
        st.caption(f":material/info: Scored before, and replaced by the new scores: {plain(', '.join(replaced))}.")
    lacking = missing_words(roles)
    if clicked("Start scoring", "score_start", icon=":material/play_arrow:", disabled=bool(lacking)):
        _begin(run, chosen, device, roles)
        st.rerun()
    if lacking:
        st.caption(f":material/help: {lacking}")


def _same_pictures(run: Run, chosen: Chosen, name: str) -> bool:
    """Whether the run's scores under this name are of the chosen folder, or of a published set that may have moved."""
    if chosen.root:
        return True
    stored = run.roots.get(name)
    return any(part.name == name and part.root and paths.portable(part.root) == stored for part in chosen.parts)


def _begin(run: Run, chosen: Chosen, device: str, roles: Mapping[str, Role | None]) -> None:
    """Nothing is drawn in between: a click that cuts the drawing short would leave an upload without its job."""
    steps = tuple(
        Score(
            image_set=part.name,
            folder=chosen.root or str(part.root),
            class_folders=part.folders,
            role=roles[part.name],
            dataset=part.name if chosen.root else "",
            engine="ray" if device == RAY else "local",
        )
        for part in unpacked(run, chosen)
    )
    _start(run, steps, "auto" if device == RAY else device)


def _device(run: Run) -> str:
    """Where the work is done; there is a choice only where there is more than the processor."""
    found = devices()
    model = run.info.model_name
    st.markdown(f"Model **{plain(model)}** on **{plain(next(iter(found.values())))}**", help="The run’s model.")
    offered = {"auto": f"Automatic: {next(iter(found.values()))}"} | ({"cpu": found["cpu"]} if len(found) > 1 else {})
    if is_ray_installed():
        offered[RAY] = f"Ray: {os.environ.get('RAY_ADDRESS') or 'several models on this computer'}"
    if len(offered) == 1:
        return "auto"
    return st.selectbox("Where", list(offered), key="score_device", format_func=lambda name: offered.get(name, name))


def _start(run: Run, steps: tuple[Score, ...], device: str) -> None:
    names = ", ".join(step.image_set for step in steps)
    title = f"Score {names}" if len(steps) < 4 else f"Score {len(steps)} image sets"
    jobs.start(Spec(title=title, run=run.name, steps=(*steps, Evaluate()), device=device))


def _scored(run: Run) -> None:
    names = run.scored_sets
    if not names:
        st.info("No pictures are scored yet. Choose some above, sorted or not.")
        return
    there = [name for name in names if _folder_is_there(run, name)]
    gone = [name for name in names if name not in there]
    if gone:
        st.warning(
            f"The pictures of {plain(', '.join(gone))} are no longer in their folder: the scores stay as they "
            "are, and are not made again.",
            icon=":material/folder_off:",
        )
    stale = outdated(run)
    table = _table(run, names, stale)
    if stale:
        st.info(
            f"There are scores of the negatives {since(stale)}: score again to see what that changed.",
            icon=":material/update:",
        )
    st.dataframe(table, hide_index=True, height=38 + 35 * min(len(table), 12), alt="The scored image sets of this run")
    change_roles(run)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _again(run, there, bool(stale))
        _remove(run, names)
    skipped = run.skipped
    if len(skipped):
        with st.expander(f"Unreadable images, skipped: {len(skipped):,}"):
            st.dataframe(
                skipped.rename(columns={"image_set": "Image set", "path": "File", "reason": "Reason"}), hide_index=True
            )


def _table(run: Run, names: list[str], stale: dict[str, int]) -> pd.DataFrame:
    unreadable = run.skipped["image_set"].value_counts()
    roots = run.roots
    rows = []
    for name in names:
        made = (run.path("scores") / f"{name}.parquet").stat().st_mtime
        rows.append(
            {
                "Image set": name,
                "Shows": SHOWN[run.role(name)],
                "Images": run.count_scored(name),
                "Unreadable": int(unreadable.get(name, 0)),
                "Scored": pd.Timestamp(made, unit="s").strftime("%Y-%m-%d %H:%M"),
                "Negatives": f"those {since({name: stale[name]})}" if name in stale else "current",
                "Folder": roots.get(name, "unknown"),
            }
        )
    return pd.DataFrame(rows)


def _folder_is_there(run: Run, name: str) -> bool:
    root = run.image_root(name) if name in run.roots else None
    return root is not None and (not isinstance(root, Path) or root.is_dir())  # a storage is asked when it is read


def _again(run: Run, there: list[str], is_stale: bool) -> None:
    """One button for all image sets, for use after overrides."""
    busy = any(job.spec.run == run.name for job in jobs.active())
    st.button(
        "Score all again",
        key="score_again",
        icon=":material/refresh:",
        type="primary" if is_stale else "secondary",
        disabled=not there or busy,
        on_click=_score_again,
        args=(run,),
        help="Scores every image set with the run’s current negative labels and computes the metrics anew. "
        "They are not embedded again, so it takes seconds. Pictures that came later are left out: choose their folder "
        "above.",
    )


@told
def _score_again(run: Run) -> None:
    there = [name for name in run.scored_sets if _folder_is_there(run, name)]
    _start(run, tuple(Score(image_set=name, same_as=run.name) for name in there), "auto")


def _remove(run: Run, names: list[str]) -> None:
    """Forget a set, such as one that was uploaded to try the app."""
    number = st.session_state.setdefault(REMOVED, 0)
    with st.popover("Remove a set", icon=":material/delete:", key=f"remove_open_{number}"):
        name = st.selectbox("Image set", names, index=None, key="remove_set", placeholder="Choose")
        st.caption(_removal(run, name))
        busy = any(job.spec.run == run.name for job in jobs.active())
        st.button("Remove", key="remove", type="primary", disabled=name is None or busy, on_click=_forget, args=(run,))


def _removal(run: Run, name: str | None) -> str:
    """What removing a set does."""
    anew = "and the metrics computed anew without it."
    if name is None or not (run.path("images") / name).is_dir():
        return f"Its scores are deleted, {anew} No picture is touched."
    if others := others_with(run, name):
        return f"Its scores are deleted, {anew} Its pictures stay: {plain(', '.join(others))} has scored them, too."
    return f"Its scores and its uploaded pictures are deleted, {anew}"


@told
def _forget(run: Run) -> None:
    name = st.session_state["remove_set"]
    if name is None:
        return
    st.session_state[REMOVED] += 1
    remove_image_set(run, name)
    if len(run.scored_sets) > 1:
        jobs.start(Spec(title=f"Compute the metrics without “{name}”", run=run.name, steps=(Evaluate(),)))


def score() -> None:
    frame.page("score", "Score", ScoreView, _draw)
