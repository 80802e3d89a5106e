"""The map of the images in Explore: alike ones lie near each other, and a line around some selects them."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core import jobs, maps, run_maps, selections
from negrefine_core.maps import Projection
from negrefine_core.run_maps import Map
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import errors, features
from ..shared.address import Address
from ..shared.gallery import image_card, kind
from ..shared.maps import CONFIG, SELECTED, choose_projection, clicked, drawn, held
from ..shared.pictures import small
from ..shared.scored_images import ScoredImages
from ..shared.view import bound, change
from .hovered import hovered
from .mistakes import mistakes_in_groups
from .view import COLOURS, ExploreView

if TYPE_CHECKING:
    import plotly.graph_objects as go

LISTED = 10_000  # rows of the table beside it
ACROSS, FILLED = 16, 0.9  # pictures across the map, and how much of its room each takes
OF_SEVERAL = ("kind", "set")  # colours that tell nothing of a set by itself
HELP = (
    "Each image is a point, and alike images lie near each other, by the features of the run’s model. Draw a line "
    "around some (or a box, by the buttons above the map) to look at these alone; with the shift key another is added. "
    "A click on a point shows its picture; of a thousand points or fewer, so does the mouse on it."
)


def image_map(run: Run, view: ExploreView, images: ScoredImages, shown: np.ndarray) -> None:
    names = images.sets.names
    st.markdown("**Alike images lie near each other**", help=HELP)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _choose_colour(view, images)
        choose_projection(view)
        st.toggle(
            "Pictures",
            help=f"Up to {ACROSS} pictures across the map, from all over it; they grow where you zoom in.",
            **bound(view, "pictured"),
        )
    step = jobs.DrawMap(image_sets=names)
    made = drawn(run, view, lambda how: run_maps.of_images(run, names, how), lambda: _draw(run, names), step)
    if made is None:
        return
    found, how = made
    table = _points(images, found, view)
    is_shown = np.isin(found.rows, shown)
    chart_key = f"map_{'_'.join(names)}_{how}_{view.selection}_{view.image}"
    figure = charts.image_map(table, "group", images.score.name, is_shown)
    if view.pictured:
        _add_pictures(run, figure, table[is_shown])
    with st.container(key="image_map"):
        st.plotly_chart(
            figure,
            key=chart_key,
            on_select=lambda: _select(run, view, chart_key, table),
            selection_mode=SELECTED,
            config=CONFIG,
            alt=f"Map of {len(table):,} images by {COLOURS[view.colour]}; the table below holds the same images",
        )
    hovered(run, table[is_shown])
    if len(found.rows) < len(images.table):
        st.caption(_left_out(images, found, how))
    _opened(run, view, images)
    if not images.is_alone:
        mistakes_in_groups(run, view, images)
    _as_table(run, view, images, table)


def _add_pictures(run: Run, figure: "go.Figure", shown: pd.DataFrame) -> None:
    """Some of the images that are shown, from all over the map."""
    places = shown[["x", "y"]].to_numpy()
    rows, width = maps.spread(places, ACROSS)
    pictures = {row: small(run, *shown.iloc[row][["image_set", "path"]]) for row in rows.tolist()}
    found = {row: picture for row, picture in pictures.items() if picture}
    charts.with_pictures(figure, places[list(found)], list(found.values()), FILLED * width)


def _left_out(images: ScoredImages, made: Map, how: Projection) -> str:
    count = len(images.table)
    if count > maps.MOST[how]:
        return f"A sample of {len(made.rows):,} of {count:,} images, of each set in proportion."
    return f"{count - len(made.rows):,} images cannot be read any more and are left out."


def _choose_colour(view: ExploreView, images: ScoredImages) -> None:
    offered = {name: words for name, words in COLOURS.items() if not (images.is_alone and name in OF_SEVERAL)}
    st.selectbox(
        "Colour",
        list(offered),
        format_func=offered.__getitem__,
        width=165,
        **bound(view, "colour", _colour(view, images)),
    )


def _colour(view: ExploreView, images: ScoredImages) -> str:
    return "outcome" if images.is_alone and view.colour in OF_SEVERAL else view.colour


def _points(images: ScoredImages, made: Map, view: ExploreView) -> pd.DataFrame:
    """A row a point: its place, its image's row and name, and what its colour says."""
    table, colour = images.table.iloc[made.rows], _colour(view, images)
    group: pd.Series
    if colour == "score":
        group = table[images.score.column].astype(float)
    elif colour == "kind":
        group = table["is_id"].map({True: "ID", False: "OOD"})
    else:
        group = table[{"outcome": "outcome", "class": "id_label", "set": "image_set"}[colour]].astype(str)
    points = table[[name for name in ("image_set", "path", "is_id", "outcome") if name in table]]
    return points.assign(
        x=made.places[:, 0],
        y=made.places[:, 1],
        name=table["image_set"].astype(str) + ": " + table["path"].astype(str),
        group=group,
        score=table[images.score.column],
    ).reset_index(drop=True)


def _draw(run: Run, names: tuple[str, ...]) -> Map:
    return run_maps.draw_images(run, names, "pca", partial(features.of_rows, run))


@errors.told
def _select(run: Run, view: ExploreView, key: str, table: pd.DataFrame) -> None:
    """What an outline or a box holds is the selection; a single point is opened below."""
    inside, row = held(key, table), clicked(key)
    if inside is not None:
        _take(run, view, table[inside])
    elif row is not None:
        change(view, image=str(Address.of(table.iloc[row])))


def _take(run: Run, view: ExploreView, chosen: pd.DataFrame) -> None:
    """Look at these images alone; at all, where there are none."""
    if chosen.empty:
        change(view, selection="", page=1)
        return
    selection = selections.of_images(chosen)
    selections.keep(run, selection)
    change(view, selection=selection.name, page=1)


def _opened(run: Run, view: ExploreView, images: ScoredImages) -> None:
    """The picture of the point that was clicked; it leads to its page."""
    if not view.image:
        return
    found = images.table[Address.parse(view.image).rows(images.table)]
    if len(found):
        with st.container(key="gallery_point"), st.container(key=f"card_{kind(found.iloc[0])}_point"):
            image_card(run, view, images, images.rows(run, [found.index[0]]).iloc[0])


def _as_table(run: Run, view: ExploreView, images: ScoredImages, table: pd.DataFrame) -> None:
    """The same choice without a mouse: rows are ticked by the space key, and sorted by a column's head."""
    with st.expander("The same as a table"):
        st.caption("Tick images to look at these alone. The columns Across and Up are the places on the map.")
        listed = table.head(LISTED)
        key = f"map_table_{'_'.join(images.sets.names)}"
        st.dataframe(
            pd.DataFrame(
                {
                    "Image": listed["path"],
                    "Set": listed["image_set"],
                    "Outcome": listed["outcome"],
                    "Score": listed["score"],
                    "Across": listed["x"],
                    "Up": listed["y"],
                }
            ),
            key=key,
            hide_index=True,
            height=300,
            on_select=lambda: _tick(run, view, key, listed),
            selection_mode="multi-row",
            alt="The images of the map with their places",
        )
        if len(table) > LISTED:
            st.caption(f"The first {LISTED:,} of {len(table):,} images.")


@errors.told
def _tick(run: Run, view: ExploreView, key: str, listed: pd.DataFrame) -> None:
    _take(run, view, listed.iloc[st.session_state[key]["selection"]["rows"]])
