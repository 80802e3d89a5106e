"""One map of the labels before and after a change of the class list: what came lies around the new classes."""

import pandas as pd
import streamlit as st

from negrefine_core import jobs, label_maps
from negrefine_core.errors import NegRefineError
from negrefine_core.label_maps import LabelVectors
from negrefine_core.run_maps import Map
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import background, errors, features
from ..shared.maps import CONFIG, choose_projection, drawn
from .view import ClassesView

HELP = (
    "Each label of both runs is a point, and alike labels lie near each other, by the features of this run’s model. "
    "Of a negative the map says whether it was mined before, is now, or both; the tables above list those that came "
    "and went."
)


def change_map(before: Run, after: Run, view: ClassesView) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown("**Before and after on one map**", help=HELP, width="content")
        choose_projection(view)
    files = ("run.json", "initial_negatives.csv")
    key = ("labels before and after", after.info.fingerprint, before.state(*files), after.state(*files))

    def compare() -> LabelVectors:
        return label_maps.by_model(after, features.encoder(after), before)

    try:
        known = background.result(key, compare, "Comparing the labels")
    except NegRefineError as error:
        errors.show(error, "warning")
        return
    if known is None:
        return
    step = jobs.DrawMap(before=before.name)
    made = drawn(after, view, known.key, lambda: label_maps.draw(known, "pca"), step)
    if made is None:
        return
    found, how = made
    table = _points(before, after, known, found)
    counts = table["group"].value_counts()
    st.plotly_chart(
        charts.label_map(table),
        key=f"change_{how}",
        config=CONFIG,
        alt="Map of the labels before and after: " + ", ".join(f"{n:,} {group}" for group, n in counts.items()),
    )


def _points(before: Run, after: Run, known: LabelVectors, made: Map) -> pd.DataFrame:
    """A row a point: `label`, its `group`, `x` and `y`, and the `name` that is told of it."""
    was, now = ({negative.label for negative in run.reviewable} for run in (before, after))
    old, new = set(before.id_labels), set(after.id_labels)

    def group(label: str) -> str:
        if label in new:
            return "ID class" if label in old else "new ID class"
        if label in old:
            return "class left out"
        if label in was and label in now:
            return "as before"
        return "came" if label in now else "went"

    labels = [known.labels[row] for row in made.rows]
    groups = [group(label) for label in labels]
    names = [f"{label}\n{what}" for label, what in zip(labels, groups, strict=True)]
    places = {"x": made.places[:, 0], "y": made.places[:, 1]}
    return pd.DataFrame({"label": labels, "group": groups, "name": names, **places})
