"""The labels that one image matches: on one axis, with the decisions on the negatives, and switched off one by one."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.decisions import DROPPED, decisions, in_force
from negrefine_core.errors import NegRefineError
from negrefine_core.methods import DEFAULT
from negrefine_core.paths import file_state
from negrefine_core.pictures import locate
from negrefine_core.records import Override
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared import background, errors, features, links
from ..shared.scored_images import ScoredImages
from ..shared.view import change, now
from ..shared.words import equals, plain
from .own_class import place_of_own_class
from .view import ImageView

if TYPE_CHECKING:
    from torch import Tensor

SWITCHES = "Switch a label off to see the score without it. All other labels stay as they are; nothing is stored."


def score_parts(run: Run, image: pd.Series) -> None:
    """NegRefine = NegLabel + alpha x multi-matching, with this image's numbers."""
    alpha = run.settings.alpha
    st.markdown(
        "**How the NegRefine score adds up**, all labels on",
        help=f"- **NegLabel**: share of the softmax mass on the ID labels against the negatives, 0 to 1\n"
        "- **Multi-matching**: best of sigmoid(similarity of “ID label and negative” − similarity of the negative), "
        f"0 to 1, with weight α = {alpha:g}",
    )
    with st.container(border=True):
        sign = equals(image["neglabel"], alpha, image["multi_matching"], image["negrefine"])
        st.markdown(
            f"**{image['neglabel']:.3f}** NegLabel + {alpha:g} × **{image['multi_matching']:.3f}** multi-matching "
            f"{sign} **{image['negrefine']:.3f}** NegRefine"
        )
    st.caption(
        f"Best pair: “{plain(image['pair_id'])} and {plain(image['pair_negative'])}”, similarity "
        f"{image['pair_sim']:.2f}; multi-matching compares it with “{plain(image['pair_negative'])}” alone."
    )


def matched_labels(run: Run, view: ImageView, images: ScoredImages, image: pd.Series) -> None:
    """The matches of a scored image, its labels' switches, and the score without those that are off."""
    off = view.off or view.off_ids
    found = _rescored(run, view, image) if off else None
    without = found[1] if found is not None else image
    label_axis(
        without, "What it looks like to the model" + (", without the labels that are off" if found is not None else "")
    )
    _taken_out(run, view, image)
    place_of_own_class(run, image)
    _switches(run, view, image, without)
    if found is not None:
        _change(view, images, found[0], without)
        if abs(found[0]["negrefine"] - image["negrefine"]) > 0.001:
            st.caption("The negatives have changed since this image was scored; both figures are with those of now.")


def label_axis(image: pd.Series, title: str) -> None:
    """The top labels on one axis of similarity."""
    st.markdown(
        f"**{title}**",
        help="Similarity = 100 × cosine of the image’s and the label’s CLIP features. Top ID labels and top negatives.",
    )
    st.plotly_chart(
        charts.label_similarities(image),
        key="matches",
        config={"displayModeBar": False},
        alt=f"Similarities with ID labels {', '.join(image['id_labels'])} "
        f"and negatives {', '.join(image['negative_labels'])}",
    )


def _taken_out(run: Run, view: ImageView, image: pd.Series) -> None:
    """Of the mined labels that it is most similar to those that it is not compared with, as they were rejected."""
    mined = image.get("mined_labels")
    if not isinstance(mined, np.ndarray | list):  # scores of before have none
        return
    gone = list[str]()
    with contextlib.suppress(NegRefineError):  # a damaged log hides no scores: Review names it
        decided = decisions(run.reviewable, run.rejections, run.overrides)
        gone = [str(label) for label in mined if decided.get(str(label)) == DROPPED]
    if not gone:
        return
    with st.container(horizontal=True, gap="small"):
        st.markdown(
            "**Taken out by the filter:**",
            help=f"Of the {len(mined)} mined negatives that this image is most similar to. They would pull it "
            "away from your classes.",
        )
        for label in gone:
            query = view.query(queue="all", search="", id_class="", chosen="", around="", label=label)
            st.page_link(links.page("review"), icon="", label=plain(label), query_params=query)


def _rescored(run: Run, view: ImageView, image: pd.Series) -> tuple[pd.Series, pd.Series] | None:
    """The image's rows with all labels and without those that are off; None and a sign of what is missing."""
    try:
        file = locate(run, image["image_set"], image["path"])
        key = (str(file), file_state(file), view.off_ids, view.off)
        return computed_scores(run, key, lambda: features.picture_feature(run, file), view)
    except NegRefineError as error:
        errors.show(error, "warning")
        return None


def computed_scores(
    run: Run, key: tuple[object, ...], feature: Callable[[], "Tensor"], view: ImageView
) -> tuple[pd.Series, pd.Series] | None:
    """The scores of one image, with all labels and without those that are off, worked out aside from the page."""
    if not features.at_hand(run, "Looking up the features"):
        return None
    key = ("one image", run.state("run.json", "negatives.csv"), *key)
    return background.result(key, lambda: _score(run, feature(), view), "Computing the score")


def _score(run: Run, feature: "Tensor", view: ImageView) -> tuple[pd.Series, pd.Series]:
    from negrefine_core.detector import Without

    detector, off = features.detector(run), Without(frozenset(view.off_ids), frozenset(view.off))
    return detector.score_features(feature).iloc[0], detector.score_features(feature, without=off).iloc[0]


def _change(view: ImageView, images: ScoredImages, before: pd.Series, after: pd.Series) -> None:
    """Old and new score and its parts, and whether the decision flips."""
    at = images.threshold_of(view, DEFAULT)
    with st.container(horizontal=True, gap="small"):
        for name, label in (("negrefine", "NegRefine"), ("neglabel", "NegLabel"), ("multi_matching", "Matching")):
            old, new = float(before[name]), float(after[name])
            same = f"{old:.3f}" == f"{new:.3f}"
            st.metric(
                label,
                f"{new:.3f}",
                border=True,
                delta="no change" if same else f"{new - old:+z.3f}",
                width=150,
                delta_color="off" if same else "blue",
                delta_arrow="off" if same else "auto",
                help=f"{old:.3f} → {new:.3f}",
            )
    was, now = before["negrefine"] >= at, after["negrefine"] >= at
    side = "ID" if now else "OOD"
    if was == now:
        st.info(f"Still taken for **{side}**: the threshold is {at:.3f}.", icon=":material/check:")
    else:
        st.warning(
            f"The decision flips: now taken for **{side}** at the threshold {at:.3f}.", icon=":material/swap_vert:"
        )


def _switches(run: Run, view: ImageView, image: pd.Series, without: pd.Series) -> None:
    """A switch for each top label; those that move up when others are off are there too."""
    st.markdown("**Labels**", help=SWITCHES)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.caption("ID labels")
        for label in _listed(image["id_labels"], without["id_labels"], view.off_ids):
            _switch(view, "off_ids", label)
    with right:
        st.caption("Negatives")
        decided = in_force(run.overrides)
        for label in _listed(image["negative_labels"], without["negative_labels"], view.off):
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                _switch(view, "off", label)
                _badge(view, label, decided.get(label))
    if view.off or view.off_ids:
        st.button(
            "Switch all on",
            icon=":material/toggle_on:",
            on_click=change,
            args=(view,),
            kwargs={"off": (), "off_ids": ()},
        )
    else:
        st.caption(SWITCHES)


def _listed(*labels: object) -> list[str]:
    return list(dict.fromkeys(str(label) for each in labels for label in each))  # type: ignore[attr-defined]


def _switch(view: ImageView, field: Literal["off_ids", "off"], label: str) -> None:
    key = f"switch_{field}_{label}"
    st.session_state[key] = label not in getattr(view, field)
    st.checkbox(plain(label), key=key, on_change=_switched, args=(view, field, label))


def _switched(view: ImageView, field: Literal["off_ids", "off"], label: str) -> None:
    others = tuple(other for other in getattr(now(view), field) if other != label)
    is_on = st.session_state[f"switch_{field}_{label}"]
    change(view, **{field: others if is_on else (*others, label)})


def _badge(view: ImageView, label: str, override: Override | None) -> None:
    """Whether the negative is kept or dropped, as a link to its review."""
    dropped = override is not None and override.new == DROPPED
    words = "dropped" if dropped else "kept"
    if override is not None and override.old != override.new:
        words = "dropped by you" if dropped else "restored by you"
    st.page_link(
        links.page("review"),
        icon="",
        label=f":{'red' if dropped else 'green'}-badge[{words}]",
        help=f"Review “{plain(label)}”",
        query_params=view.query(queue="all", search="", id_class="", chosen="", around="", label=label),
    )
