"""A table's links to the cards of its labels on Review."""

from urllib.parse import urlencode

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from negrefine_core.runs import Run

from .view import View


def review_url(view: View, run: Run, label: str) -> str:
    """The Review page's address on a label, relative to this page's."""
    every = {"queue": "all", "search": "", "id_class": "", "chosen": "", "around": ""}
    return f"review?{urlencode(view.query(run=run.name, label=label, **every))}"


def review_column() -> ColumnConfig:
    return st.column_config.LinkColumn(
        "Review", display_text="open", help="Why the judge decided so, in a new tab; there you can override it."
    )
