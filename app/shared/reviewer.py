"""The reviewer's name: written in the sidebar, kept on this computer, and put beside each decision."""

import getpass

import streamlit as st

from negrefine_core import paths

NAME_FILE = "reviewer.txt"
MAX_NAME = 80


def name_field() -> None:
    """The field in the sidebar."""
    if "who" not in st.session_state:
        st.session_state["who"] = _remembered()
    st.sidebar.text_input(
        "Your name", key="who", max_chars=MAX_NAME, on_change=_remember, help="Written beside each decision you make."
    )


def reviewer() -> str:
    """The name as it stands in the field now."""
    return str(st.session_state.get("who", "")).strip() or _remembered()


def _remembered() -> str:
    try:
        name = (paths.DATA / NAME_FILE).read_text(encoding="utf-8").strip()[:MAX_NAME]
    except (OSError, ValueError):
        name = ""
    try:
        return name or getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "reviewer"


def _remember() -> None:
    try:
        paths.write_atomically(paths.DATA / NAME_FILE, str(st.session_state["who"]).strip() + "\n")
    except OSError:
        return  # the name then holds for this session only
