"""Buttons that start work. A click does what the person saw: Streamlit calls a button's callback with what the last
finished drawing knew, so the click is only noted, and done by the drawing after it, in which every widget stands as the
person left it.
"""

from typing import Literal

import streamlit as st

NOTED = "clicked"  # the session's clicks that are still to be done


def clicked(
    label: str,
    key: str,
    *,
    icon: str,
    type: Literal["primary", "secondary"] = "primary",
    disabled: bool = False,
    help: str | None = None,
    width: Literal["content", "stretch"] = "content",
) -> bool:
    """Draw the button; True once, in the drawing after its click, even where a later click cut one short before."""
    st.button(
        label, key=key, icon=icon, type=type, disabled=disabled, help=help, width=width, on_click=_note, args=(key,)
    )
    if disabled or key not in _noted():
        return False
    _noted().discard(key)
    return True


def forget() -> None:
    """Drop the clicks that a whole drawing had no button for any more."""
    _noted().clear()


def rerun() -> None:
    """Draw the page anew, by itself: after what the person has clicked meanwhile, which `st.rerun` would go over."""
    st.empty()  # a script that draws is ended for what waits
    st.rerun()


def _note(key: str) -> None:
    _noted().add(key)


def _noted() -> set[str]:
    noted: set[str] = st.session_state.setdefault(NOTED, set())
    return noted
