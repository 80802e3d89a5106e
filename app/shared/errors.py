"""Errors that a person can mend, on screen."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Literal, ParamSpec

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.overrides import DecidedMeanwhileError

from .words import plain

P = ParamSpec("P")
Way = Literal["error", "warning", "info", "toast"]
TROUBLE = "trouble"  # the session's last click that failed
STAYS = 10.0  # seconds that an error is kept through the drawings that follow the click's own


@dataclass(frozen=True)
class _Trouble:
    text: str
    way: Way
    page: str = ""  # where it was first shown
    until: float = 0.0


def show(error: NegRefineError | OSError | str, way: Way = "error") -> None:
    """Draw what went wrong and what to do: in red, or more quietly where the rest of the page is as good without."""
    text = plain(str(error))
    if way == "error":
        st.error(text, icon=":material/error:")
    elif way == "toast":
        st.toast(text, icon=":material/error:")
    elif way == "warning":
        st.warning(text, icon=":material/info:")
    else:
        st.info(text, icon=":material/info:")


def told(callback: Callable[P, None]) -> Callable[P, None]:
    """A widget's callback whose error is shown by the page after it."""

    @wraps(callback)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        st.session_state.pop(TROUBLE, None)
        try:
            callback(*args, **kwargs)
        except (NegRefineError, OSError) as error:
            st.session_state[TROUBLE] = _Trouble(
                str(error), "warning" if isinstance(error, DecidedMeanwhileError) else "error"
            )

    return safely


def show_trouble(page: str) -> None:
    """The error of the last click, until the next one, another page or some seconds: a drawing that follows the click's
    own at once, as where a job ends, does not take it away."""
    trouble: _Trouble | None = st.session_state.pop(TROUBLE, None)
    if trouble is None or trouble.page not in ("", page):
        return
    now = time.monotonic()
    if not trouble.page:
        trouble = replace(trouble, page=page, until=now + STAYS)
    if now < trouble.until:
        show(trouble.text, trouble.way)
        st.session_state[TROUBLE] = trouble
