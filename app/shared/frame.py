"""What every page has around it: the run picker, errors as messages, and the provenance at its foot."""

from collections.abc import Callable, Mapping
from pathlib import Path

import streamlit as st

from negrefine_core import paths
from negrefine_core.errors import NegRefineError, UnfinishedError
from negrefine_core.overrides import changes
from negrefine_core.run_files.bundled import BUNDLED_RUNS, bundled_runs, run_title
from negrefine_core.runs import Run, run_names

from . import clicks, errors, links
from .batches import batches_notice
from .few_labels import few_labels_notice
from .job_panel import jobs_in_sidebar, work_on
from .links import PageName
from .outdated import outdated_notice
from .toy import toy_notice_on_own_pictures
from .unlike_paper import unlike_paper_notice
from .view import AnyView, View, current, go_to_run
from .words import plain

NO_RUN = "There is no finished run yet. Make one with the bundled model and pictures, then reload this page:"
SHOW_SCORES = ("explore", "image", "compare", "learn")
PANELS = ("classes", "score")  # they show their jobs themselves
MAKE_RUN = "negrefine run"


def page(name: PageName, title: str, kind: type[AnyView], draw: Callable[[Run, AnyView], None]) -> None:
    """Draw one page on the run of its view, which is of this kind."""
    head(title)
    view = current(name, kind)
    st.title(title)
    errors.show_trouble(title)
    _tell_of_nonsense(kind.nonsense(st.query_params.to_dict()))
    names = known_runs()
    if not names:
        st.info(NO_RUN)
        st.code(MAKE_RUN, language="bash")
        return
    try:
        run = _picked_run(view, names)
        jobs_in_sidebar(view)
        batches_notice(run)
        if name in SHOW_SCORES:
            outdated_notice(run, view)
            toy_notice_on_own_pictures(run, view)
            unlike_paper_notice(run)
            if run.scored_sets:
                few_labels_notice(run)
        try:
            draw(run, view)
        except UnfinishedError:
            if name in PANELS or not (work_on(run) or _no_pictures(run, view, name)):
                raise
        _provenance(run)
    except NegRefineError as error:
        errors.show(error)
    clicks.forget()


def _tell_of_nonsense(parameters: Mapping[str, str]) -> None:
    """What of the link was not followed."""
    if parameters:
        named = ", ".join(f"{plain(name)} = “{plain(text[:80])}”" for name, text in parameters.items())
        st.info(f"The link’s {named} makes no sense here; what is usual is shown instead.", icon=":material/link_off:")


def head(title: str) -> None:
    """What stands before a page's first word: the app's style, and the tab's title."""
    st.html(Path(__file__).with_name("style.css"))
    st.set_page_config(page_title=f"{title} · NegRefine Explorer")


def known_runs() -> list[str]:
    """The runs on disk, and the bundled ones even before they are first unpacked; the bundled ones first."""
    there = {*run_names(), *bundled_runs()}
    bundled = [name for name in BUNDLED_RUNS if name in there]
    return bundled + sorted(there.difference(bundled))


def _picked_run(view: View, names: list[str]) -> Run:
    """The run of the URL or of the picker. Only a listed name is opened: a URL must not lead to another folder."""
    name = view.run or names[0]
    st.session_state["pick_run"] = name if name in names else None
    st.sidebar.selectbox(
        "Run",
        names,
        index=0 if name in names else None,
        format_func=run_title,
        key="pick_run",
        on_change=_go_to_picked,
        args=(names[0],),
        help=f"A run is one folder in {paths.RUNS}: labels, negatives, verdicts, scores and metrics.",
    )
    if name not in names:
        raise NegRefineError(f"There is no run {name!r} here. Choose one under “Run” in the sidebar.")
    if name in run_names():
        return Run.open(name)
    with st.spinner("Unpacking the run, once on this computer"):
        return Run.open(name)


def _no_pictures(run: Run, view: View, name: PageName) -> bool:
    """In place of a page that shows scores: the ways on from a run without any. False where it has some."""
    if name not in SHOW_SCORES or run.scored_sets:
        return False
    st.info("This run has no scored pictures yet. This page opens on them, sorted or not.", icon=":material/image:")
    query = view.query()
    st.page_link(links.page("score"), label="Score pictures", icon=":material/play_circle:", query_params=query)
    if run.is_refined:
        st.page_link(
            links.page("review"), label="Review its decisions", icon=":material/rate_review:", query_params=query
        )
    return True


def _go_to_picked(usual: str) -> None:
    """Go to the run in the picker.

    On a busy machine the browser may report a run that a page went to by itself, as if it were picked now: what that
    page wrote into the URL stays.
    """
    picked = st.session_state["pick_run"]
    if picked and picked != st.query_params.get("run", usual):
        go_to_run(picked)


def _provenance(run: Run) -> None:
    """Where the figures come from, so that a screenshot can be traced."""
    info = run.info
    counts = ", ".join(f"{plain(name)} {run.count_scored(name):,}" for name in run.scored_sets)
    n_classes, overrides = len(run.id_labels), len(changes(run.overrides))
    classes = "1 ID class" if n_classes == 1 else f"{n_classes:,} ID classes"
    weights = f"weights {plain(info.fingerprint[:12])}" if info.fingerprint else "no weights yet"
    facts = [
        f"Run **{plain(run.name)}**",
        f"model {plain(info.model_name)} ({weights})" + (f" on {plain(info.device)}" if info.device else ""),
        f"{classes} (hash {plain(info.class_list_hash or '?')})",
        f"judge {plain(run.judge_name(run.judge))}",
        "1 override" if overrides == 1 else f"{overrides:,} overrides",
        f"images: {counts or 'none scored'}",
        f"{len(run.skipped):,} unreadable",
    ]
    st.divider()
    st.caption(" · ".join(facts))
