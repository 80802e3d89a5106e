"""The mistakes in groups of alike images: what is taken for what, the largest group first."""

from functools import partial

import numpy as np
import streamlit as st

from negrefine_core import run_maps, selections
from negrefine_core.error_groups import ErrorGroup, error_groups
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

from ..shared import background, errors, features
from ..shared.scored_images import ScoredImages
from ..shared.view import ALL_IMAGES, change
from ..shared.words import plain
from .view import ExploreView

SHOWN = 10  # groups


def mistakes_in_groups(run: Run, view: ExploreView, images: ScoredImages) -> None:
    st.markdown(
        "**Mistakes in groups**",
        help="The images on the wrong side of the threshold, alike ones together (k-means of their features), named by "
        "the ID class and the negative that most of them are similar to. A click looks at a group alone.",
    )
    key = ("mistakes", run.info.fingerprint, run.state(scores=images.sets.names), images.score.column, images.threshold)
    try:
        groups = background.result(key, lambda: _grouped(run, images), "Grouping the mistakes")
    except NegRefineError as error:
        errors.show(error, "info")
        return
    if groups is None:
        return
    if not groups:
        st.caption("Nothing is on the wrong side of the threshold.")
    with st.container(horizontal=True, gap="small"):
        for group in groups[:SHOWN]:
            selection = selections.of_images(images.table.iloc[group.rows])
            st.button(
                f"{_said(group)}: **{len(group.rows):,}**",
                key=f"group_{selection.name}",
                type="primary" if view.selection == selection.name else "secondary",
                help="OOD let in" if group.outcome == "FP" else "ID missed",
                on_click=_open,
                args=(run, view, selection),
            )
    if len(groups) > SHOWN:
        st.caption(f"and {len(groups) - SHOWN:,} smaller groups")


def _said(group: ErrorGroup) -> str:
    if group.outcome == "FP":
        return f"{plain(group.negative)} taken for *{plain(group.id_label)}*"
    return f"*{plain(group.id_label)}* taken for {plain(group.negative)}"


@errors.told
def _open(run: Run, view: ExploreView, selection: selections.Selection) -> None:
    selections.keep(run, selection)
    change(view, **ALL_IMAGES | {"selection": selection.name})


def _grouped(run: Run, images: ScoredImages) -> list[ErrorGroup]:
    """Of the images that have features; `rows` are those of the images' table."""
    wrong = np.flatnonzero(images.table["outcome"].isin(("FP", "FN")))
    if not len(wrong):
        return []
    sets = images.table.groupby("image_set", sort=False, observed=True)["path"]
    files = {str(name): paths.tolist() for name, paths in sets}
    rows, vectors = run_maps.features_to_compare(run, files, wrong, partial(features.of_rows, run))  # (n,), (n, D)
    groups = error_groups(images.rows(run, rows), vectors)
    return [ErrorGroup(rows[group.rows], group.outcome, group.id_label, group.negative) for group in groups]
