"""The map of the labels in Review: the ID classes, the negatives around them, and what the judge took out."""

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core import jobs, label_maps, selections
from negrefine_core.decisions import DROPPED
from negrefine_core.errors import NegRefineError
from negrefine_core.label_maps import LabelVectors
from negrefine_core.overrides import verdict_state
from negrefine_core.run_maps import Map
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import background, errors, features
from ..shared.errors import told
from ..shared.maps import CONFIG, SELECTED, choose_projection, clicked, drawn, held
from ..shared.view import bound, change
from ..shared.wordnet import WORDNET_LOCK, wordnet
from ..shared.words import plain, plural
from .queue import Queue
from .view import ReviewView

AROUND = 60  # labels around an ID class
NAMED = 8  # of the ID classes nearest to it
NOWHERE = {"chosen": "", "around": "", "label": ""}
ID_CLASS = "ID class"
HELP = (
    "Each label is a point, and alike labels lie near each other. Draw a line around some (or a box, by the buttons "
    "above the map): they are the queue then, to go through or to decide on at once. A click on a negative shows its "
    "card, one on an ID class what lies around it."
)
BY = {
    "model": "Alike is what the run’s model finds similar.",
    "questions": "Alike is here what the judge was asked about the same ID classes, the ten nearest to each label; "
    "labels that were asked about none, such as most proper nouns, are not on this map.",
}


def label_vectors(run: Run, is_map: bool) -> LabelVectors | None:
    """By the model, or by the questions where the run has none. None and a sign of what is under way, or on the map of
    what is missing."""
    try:
        return _vectors(run, is_map)
    except NegRefineError as error:
        errors.show(error, "warning")
        return None


def _vectors(run: Run, is_map: bool) -> LabelVectors | None:
    if not run.info.fingerprint:
        asked = ("label questions", str(run.folder), verdict_state(run))
        return background.result(asked, lambda: label_maps.by_questions(run), "Reading the questions")
    gain = "the map, and what lies around each of your classes" if is_map else None
    if not features.at_hand(run, "Loading the model", gain):
        return None
    key = ("label vectors", run.info.fingerprint, run.state("run.json", "initial_negatives.csv"))
    return background.result(key, lambda: label_maps.by_model(run, features.encoder(run)), "Comparing the labels")


def narrowed(run: Run, view: ReviewView, known: LabelVectors | None) -> frozenset[str] | None:
    """The labels that the queue is narrowed to, by a choice on the map or to those around an ID class; None for all."""
    if not view.chosen:
        return frozenset(known.around(view.around, AROUND)) if known and view.around else None
    try:
        return frozenset(selections.read(run, view.chosen).labels)
    except NegRefineError as error:
        errors.show(error, "warning")
    return None


def narrowed_line(view: ReviewView, queue: Queue) -> None:
    """To what the queue is narrowed, and the way back to all."""
    if not (view.chosen or view.around):
        return
    count = int(queue.inside.sum())
    what = f"around *{plain(view.around)}*" if view.around else "chosen on the map"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{count:,} {plural(count, 'label')}** of this queue {what}", width="content")
        st.button(
            "Look at all labels",
            icon=":material/deselect:",
            key="leave_labels",
            on_click=change,
            args=(view,),
            kwargs=NOWHERE,
        )


def label_map(run: Run, view: ReviewView, queue: Queue, known: LabelVectors) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        classes = ["", *dict.fromkeys(run.id_labels)]
        st.selectbox(
            "What lies around",
            classes,
            format_func=lambda name: name or "–",
            width=190,
            help=f"The {AROUND} labels nearest to an ID class are the queue then.",
            **bound(view, "around", view.around if view.around in classes else "", chosen="", label=""),
        )
        choose_projection(view)
        st.markdown("**Alike labels lie near each other**", help=HELP, width="content")
    step = jobs.DrawMap(by=known.by)
    made = drawn(run, view, known.key, lambda: label_maps.draw(known, "pca"), step)
    if made is None:
        return
    found, how = made
    table = _points(run, queue, known, found)
    inside = set(queue.labels)
    is_shown = np.array([group == ID_CLASS or label in inside for label, group in table[["label", "group"]].to_numpy()])
    key = f"labels_{how}_{known.by}_{view.chosen}_{view.around}_{view.label}"
    st.plotly_chart(
        charts.label_map(table, is_shown),
        key=key,
        on_select=lambda: _select(run, view, key, table),
        selection_mode=SELECTED,
        config=CONFIG,
        alt=f"Map of {len(table):,} labels by what the judge made of them; the table below holds the same labels",
    )
    _near(known, view.around)
    st.caption(BY[known.by])
    _as_table(run, view, table)


def _near(known: LabelVectors, around: str) -> None:
    """The ID classes nearest to the one that is looked at."""
    near = [label for label in known.around(around, len(known.labels)) if label in known.id_labels][:NAMED]
    if near:
        st.markdown(f"Nearest of your classes to *{plain(around)}*: {', '.join(map(plain, near))}")


def _points(run: Run, queue: Queue, known: LabelVectors, made: Map) -> pd.DataFrame:
    """A row a point: `label`, its `group`, `x` and `y`, and the `name` that is told of it; of a negative its `verdict`,
    `id_label` and `similarity`."""
    said = queue.table.set_index("label")
    points = pd.DataFrame({"label": [known.labels[row] for row in made.rows]}).assign(
        x=made.places[:, 0], y=made.places[:, 1]
    )
    is_class = made.rows < len(known.id_labels)
    rows = said.reindex(points["label"]).reset_index(drop=True)
    kind = rows["kind"].where(rows["kind"].fillna("") != "", "dropped by hand")
    group = kind.where(rows["decision"] == DROPPED, "kept").mask(is_class, ID_CLASS)
    points = points.assign(group=group, id_label=rows["id_label"], similarity=rows["similarity"])
    meaning = _meanings(known.labels)
    told = zip(points["label"], group, rows["id_label"].fillna(""), rows["similarity"].fillna(0.0), strict=True)
    return points.assign(name=[_told(meaning.get(label, ""), label, *rest) for label, *rest in told])


def _told(meaning: str, label: str, group: str, id_label: str, similarity: float) -> str:
    """What is told of a point, in lines."""
    verdict = group
    if group == "subcategory":
        verdict += f" of {id_label}"
    if group != ID_CLASS and similarity > 0:
        verdict += f", similarity {100 * similarity:.1f}"
    return "\n".join(line for line in (label, meaning, verdict) if line)


def _meanings(labels: tuple[str, ...]) -> dict[str, str]:
    """The first definition of each label, once they are looked up: the map does not wait for them."""
    key = ("meanings", labels)
    background.begin(key, lambda: _looked_up(labels))
    return background.known(key) or {}


def _looked_up(labels: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for label in labels:
        with WORDNET_LOCK:  # for one word: the card on the page wants it, too
            found[label] = wordnet().definition(label)
    return found


@told
def _select(run: Run, view: ReviewView, key: str, table: pd.DataFrame) -> None:
    """What an outline or a box holds is the queue; a single point is looked at."""
    inside, row = held(key, table), clicked(key)
    if inside is not None:
        _take(run, view, table[inside])
    elif row is not None:
        point = table.iloc[row]
        is_class = point["group"] == ID_CLASS
        change(view, **(NOWHERE | {"around": point["label"]} if is_class else {"label": point["label"]}))


def _take(run: Run, view: ReviewView, chosen: pd.DataFrame) -> None:
    """These negatives are the queue; all are, where there are none."""
    labels = chosen["label"][chosen["group"] != ID_CLASS]
    if labels.empty:
        change(view, **NOWHERE)
        return
    selection = selections.of_labels(labels)
    selections.keep(run, selection)
    change(view, **NOWHERE | {"chosen": selection.name})


def _as_table(run: Run, view: ReviewView, table: pd.DataFrame) -> None:
    """The same choice without a mouse: rows are ticked by the space key, and sorted by a column's head."""
    with st.expander("The same as a table"):
        st.caption("Tick labels to make them the queue. The columns Across and Up are the places on the map.")
        listed = table[table["group"] != ID_CLASS]
        st.dataframe(
            pd.DataFrame(
                {
                    "Label": listed["label"],
                    "Is": listed["group"],
                    "ID class": listed["id_label"],
                    "Similarity": 100 * listed["similarity"],
                    "Across": listed["x"],
                    "Up": listed["y"],
                }
            ),
            key="labels_table",
            hide_index=True,
            height=300,
            on_select=lambda: _tick(run, view, listed),
            selection_mode="multi-row",
            alt="The labels of the map with their places",
        )


@told
def _tick(run: Run, view: ReviewView, listed: pd.DataFrame) -> None:
    _take(run, view, listed.iloc[st.session_state["labels_table"]["selection"]["rows"]])
