"""Errors that a person can mend, on screen."""

from collections.abc import Callable
from functools import wraps
from typing import Literal, ParamSpec

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.overrides import DecidedMeanwhileError

from .words import plain

P = ParamSpec("P")
Way = Literal["error", "warning", "info", "toast"]
TROUBLE = "trouble"  # the session's last click that failed


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
        try:
            callback(*args, **kwargs)
        except (NegRefineError, OSError) as error:
            way: Way = "warning" if isinstance(error, DecidedMeanwhileError) else "error"
            st.session_state[TROUBLE] = (str(error), way)

    return safely


def show_trouble() -> None:
    """The error of the last click, once."""
    if trouble := st.session_state.pop(TROUBLE, None):
        show(*trouble)
