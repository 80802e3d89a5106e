"""Pictures on screen: decoded once and kept by the file's time and size."""

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.paths import file_state
from negrefine_core.runs import Run
from negrefine_core.show.thumbnails import THUMBNAIL, data_uri, locate, shrunk

LARGE = 1024


def thumbnail(run: Run, image_set: str, path: str) -> str | None:
    """A small picture as a data URI; None where it cannot be shown."""
    try:
        return data_uri(_picture(run, image_set, path, THUMBNAIL))
    except NegRefineError:
        return None


def large(run: Run, image_set: str, path: str) -> bytes:
    """The picture at most LARGE pixels wide and high. Raises NegRefineError where it cannot be shown."""
    return _picture(run, image_set, path, LARGE)


def _picture(run: Run, image_set: str, path: str, edge: int) -> bytes:
    file = locate(run, image_set, path)
    return _shrunk(str(file), file_state(file), edge)


@st.cache_data(max_entries=4000, show_spinner=False)
def _shrunk(file: str, state: tuple[int, int, int], edge: int) -> bytes:
    del state  # it tells a changed file from the one decoded before
    return shrunk(file, edge)
