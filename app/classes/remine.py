"""From an edited class list to a new run: its name, its settings, and the job that mines its negatives."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from negrefine_core import paths
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import PUBLISHED
from negrefine_core.judges import prompt_book
from negrefine_core.runs import Run, Settings, checked_settings, is_run_name, run_names

from ..shared import errors
from ..shared.clicks import clicked
from ..shared.machine import this_machine
from ..shared.view import go_to_run
from ..shared.words import duration, plain
from . import draft
from .draft import Base
from .mining import ahead
from .model_choice import PACE, mining_time

WORDS = ("model", "pretrained", "sketch_templates")  # which decide what must be embedded
CHOSEN = ("model", "pretrained", "fraction", "seed", "sketch_templates", "word_filter")


def settings_of_successor(run: Run, base: Base) -> Settings:
    """The run's settings with what was chosen for the new one, whose classes are drafted from `base`.

    Raises NegRefineError when a choice cannot be.
    """
    judge = run.judge
    values = run.settings.model_dump() | {"judge": "wordnet" if judge == PUBLISHED else judge}
    return checked_settings(values | {name: v for name, v in draft.chosen(base).items() if name in CHOSEN})


def remine_form(run: Run, names: list[str], chosen: Settings) -> None:
    """The new run's name, other settings and the button; `names` are empty while a problem blocks the list."""
    st.subheader(
        "Re-mine", help="Mining looks for the WordNet words least similar to your classes: the negative labels."
    )
    _difference(run, names)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    name = name_field(run, free_name(run.name), left)
    with st.expander("Advanced"):
        advanced(run, chosen)
    same = names == run.id_labels and chosen.model_dump(exclude={"judge"}) == run.settings.model_dump(exclude={"judge"})
    problem = name_problem(name)
    with right:
        is_asked = clicked(
            f"Re-mine {len(names):,} classes" if names else "Re-mine",
            "remine",
            icon=":material/refresh:",
            width="stretch",
            disabled=not names or same or bool(problem),
            help=_explained(names, same),
        )
    if problem:
        left.caption(f":material/error: {problem}")
    elif names and not same:
        tell_time(run, chosen)
    if is_asked:
        _start(run, name, names, chosen)


def _explained(names: list[str], same: bool) -> str:
    """What the button does, or why it cannot be pressed."""
    if not names:
        return "The list has a problem, named beside the table."
    return "Nothing differs from this run yet." if same else "Makes a new run; this one stays as it is."


def tell_time(run: Run, chosen: Settings) -> None:
    """How long mining takes: next to nothing where every word is embedded."""
    words = tuple(getattr(run.settings, name) for name in WORDS)
    if words != tuple(getattr(chosen, name) for name in WORDS) or not run.info.fingerprint:
        time = mining_time(chosen)
        st.caption(
            ":material/timer: Another model or other prompts: some 57,000 words are embedded first, once"
            f"{f': {time}' if time else ''}. It can be cancelled and resumed."
        )
        return
    first = ahead(run)
    if first is None:
        return
    if not first.words:
        st.caption(":material/timer: Every word is embedded already: mining takes about a second.")
    else:
        time, machine = f"about {duration(first.seconds)}, {PACE}", this_machine()
        before = machine and machine.mining_before(chosen.model, chosen.pretrained, first.texts)
        if before and before > first.seconds:
            time = f"about {duration(first.seconds)}, or {duration(before)} at the pace of the last time"
        st.caption(f":material/timer: The lexicon’s words are embedded first, once for this model: {time}.")


def _difference(run: Run, names: list[str]) -> None:
    """How the list differs from the run's, and from the class folders of its pictures."""
    old, new = set(run.id_labels), set(names)
    if names:
        st.caption(f"Against {plain(run.name)}: {len(new - old):,} added, {len(old - new):,} removed.")


def name_field(base: Base, usual: str, place: DeltaGenerator) -> str:
    """The name as it stands in the field; `usual` until another is typed."""
    st.session_state["new_name"] = draft.chosen(base).get("name") or usual
    name: str = place.text_input(
        "Name of the new run",
        key="new_name",
        max_chars=80,
        on_change=lambda: draft.choose(base, name=st.session_state["new_name"].strip()),
        help=f"Its folder is {paths.RUNS}/NAME: letters, digits, '_', '-' and '.'.",
    )
    return name.strip()


def free_name(name: str) -> str:
    """`demo` -> `demo-2`, or the next number that no run has."""
    stem, _, number = name.rpartition("-")
    stem, first = (stem, int(number) + 1) if stem and number.isdecimal() and len(number) < 5 else (name, 2)
    taken = set(run_names())
    return next(n for n in (f"{stem[:72]}-{i}" for i in range(first, first + len(taken) + 1)) if n not in taken)


def name_problem(name: str) -> str:
    if not is_run_name(name):
        return "Use letters, digits, “\\_”, “-” and “.”, at most 80, for the name."
    return f"There is a run {plain(name)} already. Choose another name." if name in run_names() else ""


def advanced(base: Base, now: Settings) -> None:
    """The other settings that matter before mining; the rest stays as it is."""
    left, middle, right = st.columns(3)
    st.session_state["new_fraction"] = round(100 * now.fraction, 2)
    left.number_input(
        "Mined share of the words (%)",
        0.1,
        100.0,
        step=1.0,
        key="new_fraction",
        on_change=lambda: draft.choose(base, fraction=st.session_state["new_fraction"] / 100),
        help="The share of nouns, and of adjectives, that become negatives; the least similar ones. The paper: 15%.",
    )
    st.session_state["new_seed"] = now.seed
    middle.number_input(
        "Seed",
        0,
        2**31 - 1,
        key="new_seed",
        help="Draws each adjective’s phrase, such as “gooey landscape”.",
        on_change=lambda: draft.choose(base, seed=int(st.session_state["new_seed"])),
    )
    _toggle(
        base,
        right,
        "sketch_templates",
        "Sketch prompts",
        now.sketch_templates,
        "Two more prompts, “a sketch of …”, for drawings (ImageNet-Sketch).",
    )
    _toggle(base, right, "word_filter", "Leave out offensive words", now.word_filter, "The paper keeps them.")


def _toggle(base: Base, place: DeltaGenerator, name: str, label: str, value: bool, help_text: str) -> None:
    st.session_state[f"new_{name}"] = value
    place.toggle(
        label,
        key=f"new_{name}",
        help=help_text,
        on_change=lambda: draft.choose(base, **{name: st.session_state[f"new_{name}"]}),
    )


def _start(run: Run, name: str, names: list[str], chosen: Settings) -> None:
    """Make the new run and go there, where it is mined."""
    try:
        made = Run.create(name, _without_roles(chosen) if names != run.id_labels else chosen, names)
        made.update_info(edited_from=run.name)
        prompt_book.carry_over(run, made)
        draft.discard(run)  # it went into the new run
    except (NegRefineError, OSError) as error:
        errors.show(error)
        return
    go_to_run(name, step="changes")
    st.rerun()


def _without_roles(chosen: Settings) -> Settings:
    """Which pictures show the classes was said of the classes of before."""
    return chosen.model_copy(update={"id_images": None, "ood_images": {}})
