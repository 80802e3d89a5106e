"""Any picture dropped in: its score and its matches, computed and not stored."""

import hashlib
import io

import pandas as pd
import streamlit as st
from PIL import Image

from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import read_image
from negrefine_core.methods import DEFAULT
from negrefine_core.runs import Run

from ..shared import errors, features, pictures
from ..shared.gallery import reasons, taken_for
from ..shared.scored_images import ScoredImages
from ..shared.toy import toy_notice
from ..shared.words import percent, plain, sentence
from .labels import computed_scores, label_axis, score_parts
from .view import ImageView

TYPES = ("png", "jpg", "jpeg", "webp")


def own_picture(run: Run, view: ImageView, images: ScoredImages) -> bool:
    """The uploader and, with a picture in it, that picture instead of the run's; whether there is one."""
    with st.expander("Try a picture of your own", icon=":material/add_photo_alternate:"):
        file = st.file_uploader(
            "Drop in a picture (PNG, JPEG or WebP)",
            TYPES,
            key="own_picture",
            help="It is scored with this run’s labels and not stored.",
        )
    if file is None:
        return False
    content = file.getvalue()
    try:
        picture = _read(content)
    except NegRefineError as error:
        st.error(
            f"{plain(file.name)} cannot be used: {plain(str(error))}. Drop in a PNG, JPEG or WebP picture.",
            icon=":material/broken_image:",
        )
        return True
    toy_notice(run, view)
    left, right = st.columns([2, 3], gap="large")
    with left:
        shown = picture.copy()
        shown.thumbnail((pictures.LARGE, pictures.LARGE))
        st.image(shown, caption=plain(file.name), width="stretch", alt=f"Your picture {file.name}")
        st.caption("Not stored. Take it out above to go back to the run’s images.")
    with right:
        row = _scored(run, content, picture)
        if row is not None:
            _show(run, view, images, row)
    return True


@st.cache_data(max_entries=4, show_spinner=False)
def _read(content: bytes) -> Image.Image:
    return read_image(io.BytesIO(content))


def _scored(run: Run, content: bytes, picture: Image.Image) -> pd.Series | None:
    key = ("upload", hashlib.blake2b(content, digest_size=16).hexdigest())
    try:
        found = computed_scores(run, key, lambda: features.encoder(run).encode_images([picture]), ImageView())
    except NegRefineError as error:
        errors.show(error, "info")
        return None
    return None if found is None else found[0]


def _show(run: Run, view: ImageView, images: ScoredImages, row: pd.Series) -> None:
    at, score = images.threshold_of(view, DEFAULT), row["negrefine"]
    accepted, beside, these = score >= at, images.table, "pictures of this set"
    if not images.is_alone:
        beside, these = beside[beside["is_id"]], "run’s ID images"
    st.subheader(sentence(taken_for(row, accepted)), help="There is no truth to compare with: only you know it.")
    st.info(
        f"NegRefine score **{score:.3f}** {'≥' if accepted else '<'} threshold {at:.3f}: {reasons(row)}. "
        f"{percent((beside['negrefine'] < score).mean())} of the {these} score lower.",
        icon=":material/check:" if accepted else ":material/close:",
    )
    score_parts(run, row)
    label_axis(row, "What it looks like to the model")
