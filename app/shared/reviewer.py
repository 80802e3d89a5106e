"""The reviewer's name, put beside each decision: the login's where one is asked for, else written in the sidebar and
kept by this browser."""

from collections.abc import Callable
from urllib.parse import quote, unquote

import streamlit as st

from .login import logged_in_name

COOKIE = "negrefine_reviewer"
NAME = "reviewer_name"  # the session's: a field forgets what it held once another page is shown
MAX_NAME = 80
NOBODY = "unnamed"
KEEP = "<script>document.cookie = '{cookie}={name}; path=/; max-age=31536000; samesite=strict'</script>"


def name_field(renamed: Callable[[], object] = lambda: None) -> None:
    """The field in the sidebar; a name that comes from the login is shown, and not to be changed."""
    if name := logged_in_name():
        st.sidebar.text_input("Your name", name, disabled=True, help="From your login. Written beside each decision.")
        return

    def remember() -> None:
        st.session_state[NAME] = str(st.session_state["who"]).strip()
        renamed()

    st.session_state.setdefault("who", _own_name())
    st.sidebar.text_input(
        "Your name",
        key="who",
        max_chars=MAX_NAME,
        placeholder=NOBODY,
        on_change=remember,
        help="Written beside each decision you make. This browser remembers it.",
    )
    if _own_name() != _cookie():
        with st.sidebar:  # quoted, a name holds neither quotes nor tags
            st.html(KEEP.format(cookie=COOKIE, name=quote(_own_name(), safe="")), unsafe_allow_javascript=True)


def reviewer() -> str:
    """The login's name, else as it stands in the field now."""
    return logged_in_name()[:MAX_NAME] or str(st.session_state.get("who", _own_name())).strip() or NOBODY


def has_name() -> bool:
    return reviewer() != NOBODY


def _own_name() -> str:
    name: str = st.session_state.setdefault(NAME, _cookie())
    return name


def _cookie() -> str:
    """The name that this browser brought along."""
    kept = st.context.cookies.get(COOKIE)
    return unquote(kept).strip()[:MAX_NAME] if isinstance(kept, str) else ""
