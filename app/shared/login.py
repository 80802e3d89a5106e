"""Who may see the app on a shared server: whoever `[auth]` in Streamlit's secrets.toml lets log in; without it, all."""

from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitAuthError

from negrefine_core.errors import NegRefineError

from . import errors

NAMED_BY = ("name", "preferred_username", "email", "sub")  # claims of a login, the best name first


def admitted() -> bool:
    """Whether the app may be shown to this visitor; draws the way in where it may not."""
    if not _readable_secrets():
        errors.show("The server's secrets.toml cannot be read, so nobody can log in. Mend it, and start the app again.")
        return False
    if st.user.get("is_logged_in", True):  # there is no such field where no login is configured
        return True
    st.title("NegRefine Explorer")
    if st.button("Log in", icon=":material/login:", type="primary", key="login"):
        try:
            st.login()
        except StreamlitAuthError as error:
            errors.show(NegRefineError(f"The login is not set up whole: {error}"))
    return False


def logged_in_name() -> str:
    """The visitor's name as the login gives it; empty where nobody has to log in."""
    if not st.user.get("is_logged_in", False):
        return ""
    return next((str(st.user[claim]).strip() for claim in NAMED_BY if st.user.get(claim)), "")


def offer_logout() -> None:
    """The way out, in the sidebar of those who came in."""
    if st.user.get("is_logged_in", False):
        st.sidebar.button("Log out", icon=":material/logout:", key="logout", on_click=st.logout)


def _readable_secrets() -> bool:
    """False where there is a file of secrets that Streamlit cannot read: it would then ask nobody to log in."""
    there = any(Path(file).exists() for file in st.get_option("secrets.files"))
    return not there or st.secrets.load_if_toml_exists()
