"""Learn: the method in guided steps, each with figures and pictures of the run itself."""

import streamlit as st

from negrefine_core.run_files.bundled import BUNDLED_RUN
from negrefine_core.runs import Run

from ..shared import frame
from ..shared.view import bound, change, go_to_run
from .lessons import LESSONS
from .view import TITLES, LearnView

CODES = list(TITLES)


def draw(run: Run, view: LearnView) -> None:
    if len(run.scored_sets) < 2:
        st.info("This run has no scored images to learn from. The bundled run has.")
        st.button("Choose the bundled run", icon=":material/school:", on_click=go_to_run, args=(BUNDLED_RUN,))
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
        for words, step, icon, side in (("Back", -1, "arrow_back", "left"), ("Next", 1, "arrow_forward", "right")):
            target = place + step
            there = 0 <= target < len(CODES)
            st.button(
                f"{words}: {TITLES[CODES[target]]}" if there else words, key=f"lesson{step}", disabled=not there,
                icon=f":material/{icon}:", icon_position=side, on_click=change, args=(view,),  # type: ignore[arg-type]
                kwargs={"lesson": CODES[target]} if there else {},
                type="primary" if step > 0 and there else "secondary",
            )  # fmt: skip


def learn() -> None:
    frame.page("learn", "Learn", LearnView, draw)
