"""Learn: the method in guided steps, each with figures and pictures of the run itself."""

from typing import Literal

import streamlit as st

from negrefine_core.run_files.bundled import STORY_RUN
from negrefine_core.runs import Run

from ..shared import frame
from ..shared.known_sets import ask_for_known_sets
from ..shared.scored_images import is_comparable
from ..shared.view import bound, change, go_to_run
from .lessons import LESSONS
from .view import TITLES, LearnView

CODES = list(TITLES)


def _draw(run: Run, view: LearnView) -> None:
    if not is_comparable(run):
        ask_for_known_sets(run, view, "The lessons compare pictures of your classes with others.")
        st.caption("The bundled run has both.")
        st.button("Choose the bundled run", icon=":material/school:", on_click=go_to_run, args=(STORY_RUN,))
        return
    place = CODES.index(view.lesson)
    _steps(view)
    st.subheader(f"{place + 1}. {TITLES[view.lesson]}")
    LESSONS[view.lesson](run, view)
    st.space("small")
    _walk(view, place)


def _steps(view: LearnView) -> None:
    titles = {code: f"{i}. {title}" for i, (code, title) in enumerate(TITLES.items(), 1)}
    st.pills(
        "Step",
        list(titles),
        format_func=titles.__getitem__,
        required=True,
        wrap=True,
        label_visibility="collapsed",
        **bound(view, "lesson"),
    )


def _walk(view: LearnView, place: int) -> None:
    """To the step before and after."""
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        _step_button(view, place - 1, "Back", "lesson-1", ":material/arrow_back:", "left")
        _step_button(view, place + 1, "Next", "lesson1", ":material/arrow_forward:", "right")


def _step_button(
    view: LearnView, target: int, words: str, key: str, icon: str, icon_position: Literal["left", "right"]
) -> None:
    is_there = 0 <= target < len(CODES)
    st.button(
        f"{words}: {TITLES[CODES[target]]}" if is_there else words,
        key=key,
        icon=icon,
        icon_position=icon_position,
        type="primary" if words == "Next" and is_there else "secondary",
        disabled=not is_there,
        on_click=change,
        args=(view,),
        kwargs={"lesson": CODES[target]} if is_there else {},
    )


def learn() -> None:
    frame.page("learn", "Learn", LearnView, _draw)
