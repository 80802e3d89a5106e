"""Learn: the method in guided steps, each with figures and pictures of the run itself."""

import streamlit as st

from negrefine_core.runs import BUNDLED_RUN, Run

from ..shared import frame
from ..shared.view import View, change
from .lessons import LESSONS


def draw(run: Run, view: View) -> None:
    if len(run.scored_sets) < 2:
        st.info("This run has no scored images to learn from. The bundled run has.")
        st.button("Choose the bundled run", icon=":material/school:", on_click=change, args=(None,),
                  kwargs={"run": BUNDLED_RUN})  # fmt: skip
        return
    place = next(i for i, lesson in enumerate(LESSONS) if lesson.code == view.lesson)
    _steps(view, place)
    st.subheader(f"{place + 1}. {LESSONS[place].title}")
    LESSONS[place].draw(run, view)
    st.space("small")
    _walk(view, place)


def _steps(view: View, place: int) -> None:
    titles = {lesson.code: f"{i}. {lesson.title}" for i, lesson in enumerate(LESSONS, 1)}
    st.session_state["pick_lesson"] = LESSONS[place].code
    st.pills(
        "Step", list(titles), key="pick_lesson", format_func=titles.__getitem__, required=True, wrap=True,
        label_visibility="collapsed", on_change=lambda: change(view, lesson=st.session_state["pick_lesson"]),
    )  # fmt: skip


def _walk(view: View, place: int) -> None:
    """To the step before and after."""
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for words, step, icon, side in (("Back", -1, "arrow_back", "left"), ("Next", 1, "arrow_forward", "right")):
            target = place + step
            there = 0 <= target < len(LESSONS)
            st.button(
                f"{words}: {LESSONS[target].title}" if there else words, key=f"lesson{step}", disabled=not there,
                icon=f":material/{icon}:", icon_position=side, on_click=change, args=(view,),  # type: ignore[arg-type]
                kwargs={"lesson": LESSONS[target].code} if there else {},
                type="primary" if step > 0 and there else "secondary",
            )  # fmt: skip


def learn() -> None:
    frame.page("learn", "Learn", draw)
