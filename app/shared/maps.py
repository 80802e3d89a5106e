"""Maps on a page: drawn at once or, where that takes a minute, by a job in the background; what is chosen on one."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core import jobs, maps, run_maps
from negrefine_core.errors import NegRefineError
from negrefine_core.maps import Projection
from negrefine_core.run_maps import Map
from negrefine_core.runs import Run

from . import background, errors
from .job_panel import job_panel
from .view import PROJECTIONS, View, bound

CONFIG = {
    "displaylogo": False,
    "displayModeBar": True,
    "modeBarButtonsToRemove": ["toImage"],
    "plotGlPixelRatio": 1,  # a quarter of plotly's own: without a graphics card, that is a quarter of the time
}
SELECTED: tuple[Literal["points", "box", "lasso"], ...] = ("points", "box", "lasso")


def choose_projection(view: View) -> None:
    st.selectbox(
        "Laid out by",
        list(PROJECTIONS),
        format_func=lambda how: PROJECTIONS[how][0],
        width=175,
        help="\n".join(f"- **{name}**: {meaning}" for name, meaning in PROJECTIONS.values()),
        **bound(view, "projection"),
    )


def drawn(
    run: Run, view: View, key: Callable[[Projection], str], draw: Callable[[], Map], step: jobs.DrawMap
) -> tuple[Map, Projection] | None:
    """The view's map and what it is laid out by: by PCA where another is not drawn yet, with the way to have it drawn.

    `key` names the map by a projection, `draw` makes it by PCA and `step` by the slow one. None and a sign of waiting
    until it is there, or of why there is none.
    """
    try:
        if view.projection == "tsne":
            if made := run_maps.read(key("tsne")):
                return made, "tsne"
            _slow(run, step)
        key_of_pca = key("pca")
        quick = run_maps.read(key_of_pca) or background.result(("map", key_of_pca), draw, "Drawing the map")
    except NegRefineError as error:
        errors.show(error, "warning")
        return None
    return (quick, "pca") if quick else None


def _slow(run: Run, step: jobs.DrawMap) -> None:
    """The job that draws a map, or the button that starts it."""
    its = [job for job in jobs.all_jobs() if job.spec.run == run.name and job.spec.steps == (step,)]
    if its and its[0].state != "done" and not its[0].is_dismissed:
        job_panel(its[0])
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Draw it by t-SNE",
            icon=":material/scatter_plot:",
            type="primary",
            key="draw_map",
            on_click=_start,
            args=(run, step),
        )
        st.caption(
            f"It takes about a minute for {maps.MOST['tsne']:,} points, once, and goes on when you leave the page; "
            "until then the map is laid out by PCA."
        )


@errors.told
def _start(run: Run, step: jobs.DrawMap) -> None:
    what = ", ".join(step.image_sets) or "the labels"
    jobs.start(jobs.Spec(title=f"Map of {what}", run=run.name, steps=(step,)))


def held(key: str, points: pd.DataFrame) -> np.ndarray | None:
    """(n,) which points (columns `x` and `y`) the outlines and boxes drawn on a chart hold; None without any."""
    said = st.session_state[key]["selection"]
    outlines = [np.array([area["x"], area["y"]], dtype=float).T for area in said["lasso"]]  # (n, 2) each
    for area in said["box"]:
        (left, right), (low, high) = area["x"], area["y"]
        outlines.append(np.array([(left, low), (right, low), (right, high), (left, high)], dtype=float))
    if not outlines:
        return None
    places = points[["x", "y"]].to_numpy()
    found: np.ndarray = np.any([maps.inside(places, outline) for outline in outlines], axis=0)
    return found


def clicked(key: str) -> int | None:
    """The row of the single point that was clicked, if one was."""
    said = st.session_state[key]["selection"]["points"]
    if len(said) != 1:
        return None
    row = said[0]["customdata"]
    return int(row[0] if isinstance(row, list) else row)
