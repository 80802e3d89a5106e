"""That the bundled model is a toy: said wherever a picture of one's own meets it, with the way to the real ones."""

from pathlib import Path

import streamlit as st

from negrefine_core import paths
from negrefine_core.models import is_toy
from negrefine_core.runs import Run

from . import links
from .view import View

TOY = "**This model is a toy.** It knows drawings of a few things only. On photographs it is wrong, with confidence."


def toy_notice(run: Run, view: View) -> None:
    """One line with the way to the real models, where the run's is the toy."""
    if is_toy(run.settings.model):
        st.page_link(
            links.page("classes"),
            label=f"{TOY} **Choose a real one**",
            icon=":material/toys:",
            query_params=view.query(step="", first="model"),
        )


def toy_notice_on_own_pictures(run: Run, view: View) -> None:
    """The same on a page of scores, where pictures other than the bundled ones were scored."""
    roots = [run.image_root(name) for name in run.scored_sets if name in run.roots]
    if any(not isinstance(root, Path) or not root.is_relative_to(paths.IMAGES) for root in roots):
        toy_notice(run, view)
