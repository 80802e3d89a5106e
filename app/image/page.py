"""Image: one picture, the parts of its score, the labels it matches, and what it is like without some of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.operating_point import BY_CODE
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import frame, links, pictures
from ..shared.address import Address
from ..shared.gallery import described, reasons, taken_for
from ..shared.looked_at import looked_at
from ..shared.marks import mark_buttons, marks_line
from ..shared.operating_point import OUTCOME_WORDS
from ..shared.reviewer import name_field
from ..shared.scored_images import ScoredImages, sets_by_themselves
from ..shared.view import change
from ..shared.words import percent, plain
from .labels import matched_labels, score_parts
from .neighbours import similar_pictures
from .upload import own_picture
from .view import ImageView

BACK = {"explore": "Explore", "compare": "Compare", "review": "Review"}  # the galleries that open images


def _draw(run: Run, view: ImageView) -> None:
    view = _on_its_set(run, view)
    images = ScoredImages.of(run, view)
    if own_picture(run, view, images):
        return
    found = looked_at(run, view, images)
    if found is None:
        return
    images = found
    shown = images.shown(view)
    if not len(shown) and not view.image and view.marked == "no" and images.is_alone:
        st.success("Every picture is marked that passes the filters.", icon=":material/check:")
        marks_line(run, images)
        _back(view)
        return
    if not len(shown) and not view.image:
        st.info("The filters of Explore leave no image to show. Take them off there.")
        _back(view)
        return
    place = _find(images.table, view.image) if view.image else int(shown[0])
    image = images.rows(run, [place]).iloc[0]
    is_marking = images.is_alone and view.marked == "no"
    walked = images.shown(replace(view, marked="")) if is_marking else shown  # the way back is over the marked ones
    _walk(view, images, walked, _place(walked, place))
    left, right = st.columns([2, 3], gap="large")
    with left:
        _picture(run, image)
        _every_score(images, image)
    with right:
        _verdict(images, image)
        if images.is_alone:
            name_field()
            mark_buttons(run, view, images, image, _after(images, walked, shown, place))
            marks_line(run, images)
        score_parts(run, image)
        matched_labels(run, view, images, image)
    similar_pictures(run, view, images, image)


def _on_its_set(run: Run, view: ImageView) -> ImageView:
    """The view on the set of its image, by itself where it is not one of those that are compared."""
    if not view.image:
        return view
    image_set = Address.parse(view.image).image_set
    return replace(view, alone=image_set if image_set in sets_by_themselves(run) else "")


def _find(table: pd.DataFrame, address: str) -> int:
    """The place of an address SET/PATH. Raises NegRefineError when the view's sets do not hold it."""
    found = np.flatnonzero(Address.parse(address).rows(table))
    if not len(found):
        raise NegRefineError(f"The chosen image sets hold no scored image {address!r}. Choose one in Explore.")
    return int(found[0])


def _place(shown: np.ndarray, image: int) -> int | None:
    """Where the image comes in the gallery's order, from 0."""
    found = np.flatnonzero(shown == image)
    return int(found[0]) if len(found) else None


def _after(images: ScoredImages, walked: np.ndarray, shown: np.ndarray, image: int) -> str:
    """The address of the next image in the order that is walked, of those shown alone; the first of these after the
    last, where they are not all; "" where none is left."""
    place = _place(walked, image)
    before, following = walked[: place or 0], walked[0 if place is None else place + 1 :]
    if len(walked) > len(shown):
        following = np.concatenate([following, before])
        following = following[np.isin(following, shown)]
    return str(Address.of(images.table.iloc[following[0]])) if len(following) else ""


def _back(view: ImageView) -> None:
    """From marking to all pictures, the marked ones included."""
    anew = {"marked": "", "sort": "highest"} if view.marked == "no" else {}
    st.page_link(
        links.page(view.back),
        label=f"Back to {BACK[view.back]}",
        icon=":material/arrow_back:",
        query_params=view.query(image="", back="explore", off=(), off_ids=(), **anew),
    )


def _walk(view: ImageView, images: ScoredImages, shown: np.ndarray, place: int | None) -> None:
    """Back to the gallery, and previous and next in the gallery's order."""
    with st.container(horizontal=True, vertical_alignment="center"):
        _back(view)
        st.space("stretch")
        for words, step, shortcut in (("Previous", -1, "Left"), ("Next", 1, "Right")):
            target = -1 if place is None else place + step
            there = 0 <= target < len(shown)
            st.button(
                words,
                key=f"step{step}",
                disabled=not there,
                shortcut=shortcut,
                on_click=change,
                args=(view,),
                kwargs={"image": str(Address.of(images.table.iloc[shown[target]])), "off": (), "off_ids": ()}
                if there
                else {},
                help="In the order and with the filters of Explore’s gallery.",
            )
        st.markdown(f"{place + 1:,} of {len(shown):,}" if place is not None else "not among Explore’s filtered images")


def _picture(run: Run, image: pd.Series) -> None:
    caption = f"{plain(image['image_set'])} / {plain(image['path'])}"
    try:
        large = pictures.large(run, image["image_set"], image["path"])
        st.image(large, caption=caption, width="stretch", alt=f"The picture {image['path']}: {described(image)}")
    except NegRefineError as error:
        st.warning(f"This picture cannot be shown: {plain(str(error))}", icon=":material/broken_image:")


def _every_score(images: ScoredImages, image: pd.Series) -> None:
    """The image among the ID images, or in its own set, by each score: scales differ, shares can be compared."""
    those, beside = "ID images", images.table
    if images.is_alone:
        those = "This set"
    else:
        beside = beside[beside["is_id"]]
    st.markdown(
        "**By every score**",
        help=f"{those} below: the share of these images with a lower score; near 0% looks OOD.\n"
        + "\n".join(f"- **{score.name}**: {score.meaning}" for score in images.offered),
    )
    rows = {
        score.name: {
            "Value": f"{image[score.column]:.{charts.decimals(images.table[score.column])}f}",
            f"{those} below": percent((beside[score.column] < image[score.column]).mean()),
        }
        for score in images.offered
    }
    st.table(pd.DataFrame.from_dict(rows, orient="index"), border="horizontal")


def _verdict(images: ScoredImages, image: pd.Series) -> None:
    """What the threshold makes of the image, in words."""
    if images.is_alone:
        _taken_for(images, image)
        return
    outcome, value = BY_CODE[image["outcome"]], images.text(image[images.score.column])
    side = "≥" if outcome.accepted else "<"
    taken = "ID" if outcome.accepted else "OOD"
    truth = "ID" if outcome.is_id else "OOD"
    words = OUTCOME_WORDS[outcome.code]
    st.subheader(f"{plain(described(image))}: {words.name}", help=words.meaning)
    right = outcome.accepted == outcome.is_id
    (st.success if right else st.warning)(
        f"{images.score.name} score **{value}** {side} threshold {images.text(images.threshold)}: "
        f"taken for **{taken}**, and it is {truth} ({outcome.code}).",
        icon=":material/check:" if right else ":material/close:",
    )


def _taken_for(images: ScoredImages, image: pd.Series) -> None:
    """What a picture of which nobody knows what it shows is taken for, why, and its place among the others."""
    accepted, values = BY_CODE[image["outcome"]].accepted, images.table[images.score.column]
    value = image[images.score.column]
    st.subheader(f"{plain(described(image))}: {taken_for(image, accepted)}")
    st.info(
        f"{images.score.name} score **{images.text(value)}** {'≥' if accepted else '<'} threshold "
        f"{images.text(images.threshold)}, {images.at.origin}. It is most similar to {reasons(image)}; "
        "the score weighs all labels together.  \n"
        f"Number **{int((values > value).sum()) + 1:,}** of the {len(values):,} pictures of "
        f"“{plain(images.sets.alone)}”, the most in-distribution first.",
        icon=":material/check:" if accepted else ":material/close:",
    )


def image() -> None:
    frame.page("image", "Image", ImageView, _draw)
