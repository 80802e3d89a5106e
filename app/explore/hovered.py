"""The picture of the point on the map that the mouse is on."""

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core.runs import Run

from ..shared import background
from ..shared.pictures import small

MOST = 1_000  # pictures that the browser is sent for it
SCRIPT = Path(__file__).with_suffix(".js")


def hovered(run: Run, shown: pd.DataFrame) -> None:
    """Of these rows of the map's table, where they are not too many; made small aside from the page."""
    pictures: dict[int, str] | None = {}
    if len(shown) <= MOST:
        state = run.state(scores=shown["image_set"].unique())
        key = ("hovered", state, tuple(shown.index))
        pictures = background.result(key, lambda: _pictures(run, shown), "Making the pictures small")
    told = f"window.pictureOfPoint = {json.dumps(pictures or {})};"  # until they are there, not another map's
    st.html(f"<script>{SCRIPT.read_text(encoding='utf-8')}\n{told}</script>", unsafe_allow_javascript=True)


def _pictures(run: Run, shown: pd.DataFrame) -> dict[int, str]:
    found = {}
    for row, image_set, path in shown[["image_set", "path"]].itertuples():
        if picture := small(run, image_set, path):
            found[int(row)] = picture
    return found
