"""Pictures on screen: only files below their image set's folder, decoded once and kept by the file's time and size."""

import base64
import io
from pathlib import Path

import streamlit as st
from PIL import Image

from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import read_image
from negrefine_core.runs import Run

THUMBNAIL = 160  # pixels, twice what is drawn: sharp on a dense screen
LARGE = 1024


def locate(run: Run, image_set: str, path: str) -> Path:
    """The picture's file. A run's tables may come from elsewhere, so a path that leaves the set's folder is refused.

    Raises NegRefineError when the path leaves the folder or the file is gone.
    """
    if image_set not in run.info.get("image_sets", {}):
        raise NegRefineError(f"the run does not say where the image set {image_set!r} lies")
    root = run.image_root(image_set).resolve()
    try:
        file = (root / path).resolve()
    except (OSError, ValueError) as error:
        raise NegRefineError(f"{path!r} is not a path") from error
    if not file.is_relative_to(root):
        raise NegRefineError(f"{path!r} lies outside the image set's folder and is not shown")
    if not file.is_file():
        raise NegRefineError(f"the file is no longer there: {path!r} in {root}")
    return file


def thumbnail(run: Run, image_set: str, path: str) -> str | None:
    """A small picture as a data URI; None where it cannot be shown."""
    try:
        return "data:image/webp;base64," + base64.b64encode(_picture(run, image_set, path, THUMBNAIL)).decode()
    except NegRefineError:
        return None


def large(run: Run, image_set: str, path: str) -> bytes:
    """The picture at most LARGE pixels wide and high. Raises NegRefineError where it cannot be shown."""
    return _picture(run, image_set, path, LARGE)


def _picture(run: Run, image_set: str, path: str, edge: int) -> bytes:
    file = locate(run, image_set, path)
    stat = file.stat()
    return _shrunk(str(file), stat.st_mtime_ns, stat.st_size, edge)


@st.cache_data(max_entries=4000, show_spinner=False)
def _shrunk(file: str, modified: int, size: int, edge: int) -> bytes:
    del modified, size  # they tell a changed file from the one decoded before
    picture = read_image(file)
    picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()
