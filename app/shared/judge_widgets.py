"""The judge form's widgets: what was put into them is kept for the session, whether they are on screen or not."""

from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from .judge_key import kept_form, note_server

Value = TypeVar("Value")


def widget(make: Callable[..., object], label: str, name: str, default: Value, **arguments: Any) -> Value:
    """A widget that shows what is kept under its name, and keeps what it is changed to."""
    kept, key = kept_form(), f"judge_{name}"
    kept.setdefault(name, default)
    if "options" in arguments and not isinstance(default, list) and kept[name] not in arguments["options"]:
        kept[name] = default
    st.session_state[key] = kept[name]
    make(label, key=key, on_change=_keep, args=(name,), **arguments)
    value: Value = kept[name]
    return value


def _keep(name: str) -> None:
    value = st.session_state[f"judge_{name}"]
    kept_form()[name] = value
    if name == "url":
        note_server(value)
