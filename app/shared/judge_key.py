"""The key of the language model's server: where it comes from, and to which servers it may go."""

import os
from typing import Any

import streamlit as st

from negrefine_core import jobs

FORM = "judge_form"  # of the session alone: what was typed into the judge's form outlives its widgets
OPENAI_URL = "https://api.openai.com/v1"


def kept_form() -> dict[str, Any]:
    """What was typed into the judge's form."""
    kept: dict[str, Any] = st.session_state.setdefault(FORM, {})
    return kept


def api_key() -> str:
    """The key that was typed, else the environment's, else Streamlit's secrets'. It is never written anywhere."""
    try:
        secret = str(st.secrets.get(jobs.KEY, ""))
    except FileNotFoundError:
        secret = ""
    return str(kept_form().get("key", "")).strip() or os.environ.get(jobs.KEY, "") or secret


def key_for(url: str) -> str:
    """The key for a server that a run names: "none" unless it is the person's own too, as a run may be a stranger's."""
    own = {*kept_form().get("servers", ()), os.environ.get("OPENAI_BASE_URL", "").rstrip("/"), OPENAI_URL}
    return (api_key() if url in own else "") or "none"


def note_server(url: str) -> None:
    """A server that the person has typed, or sent questions to."""
    kept_form().setdefault("servers", set()).add(url.strip().rstrip("/"))
