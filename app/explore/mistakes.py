"""The mistakes in groups of alike images: what is taken for what, the largest group first."""

import numpy as np
import streamlit as st

from negrefine_core import selections
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
    found = [features.image_features(run, name) for name in images.sets.names]
    vectors = np.concatenate([each.features.numpy() for each in found])  # (n, D)
    starts = np.cumsum([0, *(each.scored for each in found)])
    places = np.concatenate([start + each.rows for start, each in zip(starts, found, strict=False)])  # (n,)
    is_wrong = images.table["outcome"].isin(("FP", "FN")).to_numpy()[places]
    rows = places[is_wrong]
    groups = error_groups(images.rows(run, rows), vectors[is_wrong])
    return [ErrorGroup(rows[group.rows], group.outcome, group.id_label, group.negative) for group in groups]
