"""The image sets that this run, or the one it was made from, has scored, to be scored with the negatives of this one.

What a set shows is said of a class list: it is taken along where that is the same, and asked anew where it is another.
"""

import streamlit as st

from negrefine_core import jobs
from negrefine_core.runs import Role, Run

from ..shared.errors import told
from ..shared.roles import ask_role, missing_words
from ..shared.words import plain, plural, some

SHOWN: dict[Role, str] = {"ID": "your classes (ID)", "OOD": "something else (OOD)", "unknown": "nobody knows what"}


def score_known_sets(run: Run, parent: Run | None) -> None:
    """With one click where the classes are the same; else once it is said of each set what it shows now."""
    source = run if run.scored_sets or not parent else parent
    sets = source.scored_sets
    if not sets:
        return
    label = f"Score the {len(sets)} image {plural(len(sets), 'set')} of {plain(source.name)}"
    if _has_its_classes(run, source):
        _button(label, run, source, "")
        st.caption(f"{_roles(source)}, as in {plain(source.name)}.")
        return
    with st.expander(f"{label} with these classes", icon=":material/photo_library:"):
        st.caption(
            f"The classes of {plain(source.name)} are others, so what its pictures show is asked anew: do they show "
            "one of the classes of this run?"
        )
        said = {name: ask_role(f"“{plain(name)}”", _key(run, name)) for name in sets}
        _button(label, run, source, missing_words(said))


def _has_its_classes(run: Run, source: Run) -> bool:
    return run.info.class_list_hash == source.info.class_list_hash


def _key(run: Run, image_set: str) -> str:
    return f"known_role_{run.name}_{image_set}"


def _button(label: str, run: Run, source: Run, lacking: str) -> None:
    st.button(
        label,
        icon=":material/play_arrow:",
        key="score",
        disabled=bool(lacking),
        on_click=_start,
        args=(run, source),
        help="What a set shows can be said again on the page Score.",
    )
    if lacking:
        st.caption(f":material/help: {lacking}")


def _roles(run: Run) -> str:
    """What the scored sets show, in words."""
    said = ((words, run.sets_showing(role)) for role, words in SHOWN.items())
    return "; ".join(f"{some(names, 6)}: {words}" for words, names in said if names)


@told
def _start(run: Run, source: Run) -> None:
    names, is_same = source.scored_sets, _has_its_classes(run, source)
    roles = {name: source.role(name) if is_same else st.session_state.get(_key(run, name)) for name in names}
    if None in roles.values():  # a set was scored since the page was drawn
        return
    steps = [jobs.Score(image_set=name, same_as=source.name, role=role) for name, role in roles.items()]
    jobs.start(jobs.Spec(title=f"Score {run.name}", run=run.name, steps=(*steps, jobs.Evaluate())))
