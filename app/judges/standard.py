"""Whose decisions the judges are tried on; and, where too few labels are decided, a sample to decide."""

import contextlib
from functools import partial
from pathlib import Path

import streamlit as st

from negrefine_core import overrides
from negrefine_core.errors import NegRefineError
from negrefine_core.judges.doubts import doubts_of
from negrefine_core.judges.trial import MIN_DECIDED, Standard, draw_sample, read_standard
from negrefine_core.run_files.bundled import bundled_decisions, run_title
from negrefine_core.runs import Run, run_names

from ..shared import background, frame, links
from ..shared.cached import cached_by
from ..shared.view import bound
from ..shared.wordnet import WORDNET_LOCK, wordnet
from ..shared.words import plain
from .view import JudgesView


def choose_standard(run: Run, view: JudgesView) -> tuple[Standard, str]:
    """(The standard, its file or "" where it is the run's own decisions.)"""
    file = bundled_decisions(run.name)
    own = _read(run, "")
    if file is None:
        return own, ""
    files = {"own": "", "project": str(file)}
    named = {"own": f"Decisions in this run ({len(own.decided):,})", "project": "The project’s own decisions"}
    chosen = view.standard or ("project" if own.missing else "own")
    st.segmented_control(
        "Labels that people decided",
        list(named),
        format_func=named.__getitem__,
        required=True,
        help="This run’s labels were decided by its project too, half of them by doubt and half at random: a standard "
        "that is there before you have decided yourself.",
        **bound(view, "standard", chosen),
    )
    return _read(run, files[chosen]), files[chosen]


@cached_by(
    lambda run, file: (file, run.state("run.json", "verdicts.jsonl", "overrides.jsonl", "initial_negatives.csv")),
    max_entries=8,
    spinner="Reading the decisions",
)
def _read(run: Run, file: str) -> Standard:
    return read_standard(run, file)


def describe(standard: Standard) -> None:
    kept = len(standard.decided) - standard.dropped
    st.markdown(
        f"**{len(standard.decided):,} decided labels**: {standard.dropped:,} dropped, {kept:,} kept",
        help="A judge that is tried is asked what NegFilter would ask about each of them, and then it would keep or "
        "reject it. Labels chosen by doubt are harder than most, and favour judges that doubt is made of: these "
        "figures are no estimate of errors on all labels.",
    )


def sample_to_decide(run: Run, view: JudgesView, standard: Standard) -> None:
    """In place of trials: how many labels are still to be decided, and which."""
    st.info(
        f"**{len(standard.decided):,} of {MIN_DECIDED} labels are decided.** A judge is tried on labels that you "
        f"decided yourself: decide on {standard.missing:,} more, and judges and prompts can be compared here before "
        "thousands of questions are asked.",
        icon=":material/rule:",
    )
    _elsewhere(run)
    key = ("sample", overrides.verdict_state(run), run.state("overrides.jsonl"))
    found = background.result(key, partial(_sample, run.folder, standard.missing), "Drawing a sample of labels …")
    if not found:
        return
    query = view.query(queue="all", search="", id_class="", chosen="", around="", label="", sample="\n".join(found))
    links.next_action("review", f"Decide these {len(found):,} labels", ":material/rate_review:", query)
    st.caption(
        "Nobody has decided on them yet. Half are the most doubtful, where judges differ; the other half is drawn at "
        "random, so that the easy ones count too."
    )


def _elsewhere(run: Run) -> None:
    """Links to the runs in which enough labels are decided."""
    for name in frame.known_runs():
        if name == run.name:
            continue
        with contextlib.suppress(NegRefineError):  # a damaged run is named where it is opened
            decided = _decided(name)
            if decided >= MIN_DECIDED:
                label = f"Try judges on {decided:,} decided labels of {plain(run_title(name))}"
                st.page_link(links.page("judges"), label=label, icon=":material/rule:", query_params={"run": name})


def _decided(name: str) -> int:
    """How many of a run's labels are decided, in it or by the project."""
    file = bundled_decisions(name)
    if file:
        return len(overrides.read_decisions(file))
    if name not in run_names():  # a bundled run that is not unpacked yet
        return 0
    run = Run.open(name)
    return len(_read(run, "").decided) if run.path("overrides.jsonl").exists() else 0


def _sample(folder: Path, size: int) -> list[str]:
    run = Run(folder)
    with WORDNET_LOCK:
        return draw_sample(run, doubts_of(run, wordnet()), size)
