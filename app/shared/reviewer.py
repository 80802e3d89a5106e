"""The reviewer's name, put beside each decision: the login's where one is asked for, else written in the sidebar and
kept on this computer."""

import getpass

import streamlit as st

from negrefine_core import paths

from .login import logged_in_name

NAME_FILE = "reviewer.txt"
MAX_NAME = 80


def name_field() -> None:
    """The field in the sidebar; a name that comes from the login is shown, and not to be changed."""
    if name := logged_in_name():
        st.sidebar.text_input("Your name", name, disabled=True, help="From your login. Written beside each decision.")
        return
    if "who" not in st.session_state:
        st.session_state["who"] = _remembered()
    st.sidebar.text_input(
        "Your name", key="who", max_chars=MAX_NAME, on_change=_remember, help="Written beside each decision you make."
    )


def reviewer() -> str:
    """The login's name, else as it stands in the field now."""
    return logged_in_name()[:MAX_NAME] or str(st.session_state.get("who", "")).strip() or _remembered()


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
