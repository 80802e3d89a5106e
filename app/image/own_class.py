"""Where an ID image's own class, which its folder names, comes among the ID labels."""

from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.paths import file_state
from negrefine_core.pictures import locate
from negrefine_core.runs import Run

from ..shared import background, features
from ..shared.words import plain


def place_of_own_class(run: Run, image: pd.Series) -> None:
    """One line; nothing for an image whose folder is no ID class."""
    label = _label(run, image)
    if label is None:
        return
    near = list(image["id_labels"])
    if label in near:
        place, similarity = near.index(label) + 1, float(image["id_sims"][near.index(label)])
    else:
        found = _found(run, image, label)
        if found is None:
            st.caption(f"Its own class, “{plain(label)}”, is not among the {len(near)} nearest ID labels.")
            return
        place, similarity = found
    st.caption(
        f"Its own class, “{plain(label)}”, is number **{place:,}** of the {len(run.id_labels):,} ID labels, with "
        f"similarity {similarity:.1f}."
    )


def _label(run: Run, image: pd.Series) -> str | None:
    """The ID label that the image's class folder goes by."""
    folder = image["class"]
    if not image.get("is_id") or not isinstance(folder, str):
        return None
    wanted = folder.casefold()
    return next((name for name in run.id_labels if name.casefold() in (wanted, wanted.replace("_", " "))), None)


def _found(run: Run, image: pd.Series, label: str) -> tuple[int, float] | None:
    """(place from 1, similarity), worked out aside; None while that is under way, and where features are missing."""
    try:
        file = locate(run, image["image_set"], image["path"])
        if not features.checked(run, "Looking up the features"):
            return None
        key = ("own class", run.state("run.json", "negatives.csv"), str(file), file_state(file))
        return background.result(key, lambda: _placed(run, file, label), "Looking for its own class")
    except NegRefineError:
        return None  # the labels beside it are shown all the same


def _placed(run: Run, file: Path, label: str) -> tuple[int, float]:
    from negrefine_core import scoring

    detector = features.detector(run)
    similarities = scoring.similarity(features.picture_feature(run, file), detector.id_features)[0]  # (P,)
    own = similarities[detector.id_labels.index(label)]
    return int((similarities > own).sum()) + 1, float(own)
