"""One's own classes: from an empty list to a run that is mined and refined, with one press."""

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run, Settings, run_names

from ..shared import errors, links
from ..shared.clicks import clicked
from ..shared.view import go_to_run
from ..shared.words import plain
from . import draft
from .draft import OWN
from .editor import class_editor
from .mining import mine_and_refine, sampled
from .model_choice import model_form
from .remine import advanced, free_name, name_field, name_problem, settings_of_successor, tell_time
from .view import ClassesView

NAME = "my-classes"
JUDGE = "wordnet"  # answers by itself, offline and in seconds


def own_classes(run: Run, view: ClassesView) -> None:
    """The list, the model and the button. `run` lends its settings, and nothing else."""
    st.caption(
        "Name what your pictures may show (in-distribution, ID). Negative labels are then mined against your classes "
        "and refined, and your pictures can be scored."
    )
    st.subheader("Your classes")
    chosen = _settings(run)
    if view.first == "model":
        model_form(OWN, chosen, sampled(run))
        st.divider()
    names = class_editor(OWN, chosen)
    st.divider()
    if view.first != "model":
        model_form(OWN, chosen, sampled(run))
    _mine_and_refine(run, names, chosen)
    st.page_link(
        links.page("classes"),
        label=f"Or edit the classes of the run {plain(run.name)}",
        icon=":material/edit:",
        query_params=view.query(begin="", step="", first=""),
    )


def _settings(run: Run) -> Settings:
    """The run's, without what was said of its classes' pictures.

    Raises NegRefineError when a choice cannot be.
    """
    chosen = settings_of_successor(run, OWN)
    return chosen.model_copy(update={"judge": JUDGE, "id_images": None, "ood_images": {}})


def _mine_and_refine(run: Run, names: list[str], chosen: Settings) -> None:
    st.subheader(
        "Mine and refine",
        help="Mining looks for the WordNet words least similar to your classes: the negative labels. Refining throws "
        "out those that are proper nouns or a kind of one of your classes.",
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    name = name_field(OWN, NAME if NAME not in run_names() else free_name(NAME), left)
    with st.expander("Advanced"):
        advanced(OWN, chosen)
    problem = name_problem(name)
    with right:
        is_asked = clicked(
            f"Mine and refine {len(names):,} classes" if names else "Mine and refine",
            "mine_own",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=not names or bool(problem),
            help="Works in the background." if names else "Name your classes first.",
        )
    if problem:
        left.caption(f":material/error: {problem}")
    elif names:
        tell_time(run, chosen)
        st.caption(":material/gavel: WordNet refines them, offline and in seconds. A language model can do so later.")
    if is_asked:
        _start(name, names, chosen)


def _start(name: str, names: list[str], chosen: Settings) -> None:
    """Make the run and go there, where the job shows."""
    try:
        made = Run.create(name, chosen, names)
        mine_and_refine(made)
        draft.discard(OWN)  # it went into the run
    except (NegRefineError, OSError) as error:
        errors.show(error)
        return
    go_to_run(name, step="refine")
    st.rerun()
