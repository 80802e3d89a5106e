"""What Explore gives away: the shown images as a table and, of a set nobody had sorted, as folders."""

import io

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core import sorting
from negrefine_core.runs import Run
from negrefine_core.show.csv import csv_of

from ..shared.cached import cached_by
from ..shared.scored_images import ScoredImages, flat_scores, marked
from ..shared.words import plain

LARGEST = 500_000_000  # bytes of pictures that the browser is sent in one archive
INSIDE = ["row", "id_label", "id_similarity", "negative_label", "negative_similarity"]  # the app's own columns


def exports(run: Run, images: ScoredImages, shown: np.ndarray) -> None:
    if not images.is_alone:
        _table(run, images, shown)
        return
    with st.popover("Export", icon=":material/download:", key="export"):
        st.caption(f"The {len(shown):,} pictures shown, the highest score first.")
        _sorted_list(run, images, shown)
        _folders(run, images, shown)


def _table(run: Run, images: ScoredImages, shown: np.ndarray) -> None:
    """The images of the view, in its order, with what they are taken for and every score."""
    st.download_button(
        "Export as CSV",
        data=lambda: csv_of(_predicted(images, shown)),
        file_name=f"{run.name}-{images.score.column}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        help=f"The {len(shown):,} images shown, in this order: the class that each is taken for (“predicted”, empty "
        f"below the threshold), all scores, and the threshold of the {images.score.name} score.",
    )


def _predicted(images: ScoredImages, shown: np.ndarray) -> pd.DataFrame:
    table = images.table.drop(columns=[name for name in INSIDE if name in images.table]).iloc[shown]
    return table.assign(
        predicted=images.taken_for.iloc[shown], threshold=images.threshold, threshold_of=images.score.column
    )


def _sorted_list(run: Run, images: ScoredImages, shown: np.ndarray) -> None:
    st.download_button(
        "Sorted list (CSV)",
        data=lambda: csv_of(_sorted(run, images, shown)),
        file_name=f"{run.name}-{images.sets.alone}-sorted.csv",
        mime="text/csv",
        icon=":material/table:",
        on_click="ignore",
        help="Each picture with the class that it looks like (“predicted”, empty for none), its score, its nearest "
        "labels and your mark.",
    )


def _folders(run: Run, images: ScoredImages, shown: np.ndarray) -> None:
    name = images.sets.alone
    is_small = _bytes(run, name) <= LARGEST
    st.download_button(
        "Folders (ZIP)",
        data=lambda: _archive(run, name, _sorted(run, images, shown)),
        file_name=f"{run.name}-{name}-sorted.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
        on_click="ignore",
        disabled=not is_small,
        help="The pictures, a folder for each class that they look like and one for “none of the classes”; and the "
        "list. What you marked goes where you said.",
    )
    if not is_small:
        st.caption(f"The pictures are too many for the browser. On the command line: {_command(run, images)}")


def _sorted(run: Run, images: ScoredImages, shown: np.ndarray) -> pd.DataFrame:
    return sorting.sorted_table(
        images.table.iloc[shown], images.score.column, images.threshold, marked(run, images.sets.alone)
    )


def _command(run: Run, images: ScoredImages) -> str:
    command = f"negrefine sort {images.sets.alone} --name {run.name} --threshold {images.threshold} --to FOLDER"
    return f"`{command}`" if "`" not in command else plain(command)


def _archive(run: Run, image_set: str, table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    sorting.write_zip(run, image_set, table, file)
    return file.getvalue()


@cached_by(lambda run, image_set: run.state(scores=[image_set]), max_entries=16)
def _bytes(run: Run, image_set: str) -> int:
    return sorting.size(run, image_set, flat_scores(run, image_set)["path"])
