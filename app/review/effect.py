"""What restoring or dropping a label does to AUROC, FPR@95 and single images, and which images it attracts."""

from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.overrides import DROPPED, changes, judged_negatives, verdict_state
from negrefine_core.records import Negative
from negrefine_core.runs import Run

from ..shared import background, errors, features, links
from ..shared.address import by_address
from ..shared.gallery import image_card
from ..shared.known_sets import ask_for_known_sets
from ..shared.scored_images import ScoredImages, is_comparable
from ..shared.view import View
from ..shared.words import plain, plural
from .figures import figures_table

SHOWN = 6  # pictures a side
NO_IMAGES = (
    "This run has no scored images, so what the label attracts and what restoring it would do cannot be shown. "
    "Everything else can be reviewed. To see effects, score images with this run."
)


@dataclass(frozen=True)
class Change:
    """Scores (B,) of the images `address` (B,) before and after, and whether the label is among their top negatives."""

    address: np.ndarray
    before: np.ndarray
    after: np.ndarray
    attracted: np.ndarray


def effect_of_decision(run: Run, view: View, row: pd.Series) -> None:
    if not run.scored_sets:
        background.begin(("torch",), lambda: import_module("torch"))  # a first override waits for it
        st.info(NO_IMAGES, icon=":material/image_not_supported:")
        st.page_link(
            links.page("score"), label="Score images", icon=":material/play_circle:", query_params=view.query()
        )
        return
    dropped = row["decision"] == DROPPED
    st.markdown(f"**If you {'restore' if dropped else 'drop'} it**", help=_help(view))
    if not is_comparable(run):
        ask_for_known_sets(run, view, "What a decision does is measured by AUROC and FPR@95.")
        return
    images = ScoredImages.of(run, replace(view, alone=""))
    change = _change(run, row)
    if change is None:
        if not dropped and not row["overridden"]:  # else the stored scores know nothing of it yet
            _attracted(run, view, images, images.table[_stored(images.table, row["label"])])
        return
    table = by_address(images.table)
    known = pd.Index(change.address).isin(table.index)
    found = table.loc[change.address[known]].assign(
        **{name: getattr(change, name)[known] for name in ("before", "after", "attracted")}
    )
    figures_table(view, found, ("Now", "Then", "Change"))
    _attracted(run, view, images, found[found["attracted"]])
    _together(run, view, found, change, known)


def _help(view: View) -> str:
    sets = ", ".join(view.ood).replace("_", " ") if view.ood else "all OOD sets"
    return (
        "Exact, for this label alone: all other negatives keep their groups, which a stored decision draws anew. One "
        f"label of thousands moves single images more than averages. On the run’s ID images against {plain(sets)}, as "
        "chosen in Explore; NegRefine score, ID is the positive class. An image flips when it is accepted before and "
        "not after, or the other way round, each time at Explore’s threshold: by default the one that keeps 95% of "
        "the ID images."
    )


def _change(run: Run, row: pd.Series) -> Change | None:
    """The effect, or None and a sign of what is missing or under way."""
    try:
        there = _ready(run)
        if there is None:
            return None
        if not there and not features.ready(run):  # it may have been embedded since
            features.offer(run)
            return None
        negative = Negative(row["label"], row["pos"], float(row["similarity"]))
        drop = row["decision"] != DROPPED
        return background.result(
            ("effect", run.state("negatives.csv", scores=run.scored_sets), negative.label, drop),
            lambda: _computed(run, negative, drop),
            "Working out what it does",
        )
    except NegRefineError as error:
        errors.show(error, "info")
        return None


def _ready(run: Run) -> bool | None:
    """Whether the features are in the cache; None and a sign of waiting while torch and the model are loaded."""
    return features.checked(run, "Loading the model: a few seconds, once")


def _computed(run: Run, negative: Negative, drop: bool) -> Change:
    sets = tuple(run.scored_sets)
    effects = features.effects(run, sets)
    found = [features.image_features(run, name) for name in sets]
    addresses = [address for images in found for address in images.addresses]
    effect = effects.drop(negative.label) if drop else effects.restore(negative)
    return Change(
        np.array(addresses, dtype=object), effect.before.numpy(), effect.after.numpy(), effect.attracted.numpy()
    )


def images_by_label(run: Run) -> pd.Series | None:
    """How many images each rejected label would attract, by label; None and a sign of waiting until it is there."""
    key = ("ranking", verdict_state(run), run.state(scores=run.scored_sets))
    try:
        if not _ready(run):
            return None
        return background.result(key, lambda: _ranked(run), "Counting the images of each label")
    except NegRefineError:
        return None


def _ranked(run: Run) -> pd.Series:
    rejected = run.rejections
    wanted = [negative for negative in run.reviewable if negative.label in rejected]
    table = features.effects(run, tuple(run.scored_sets)).ranking(wanted)
    return table.set_index("label")["attracted"]


def _together(run: Run, view: View, found: pd.DataFrame, change: Change, known: np.ndarray) -> None:
    """What all overrides so far do together, against the judge's verdicts alone."""
    count = len(changes(run.overrides))
    if not count:
        return
    st.markdown(
        f"**Your {count:,} overrides together**" if count > 1 else "**Your override**",
        help="The judge’s verdicts alone against the negatives as they are now, as “Score again” will store it. The "
        "negatives are put into groups anew, which moves scores a little, too.",
    )
    key = ("judged", verdict_state(run), run.state(scores=run.scored_sets))
    judged = background.result(key, lambda: _judged(run), "Working out what they do together")
    if judged is not None:
        both = found.assign(before=judged[known], after=change.before[known])
        figures_table(view, both, ("Judge", "With yours", "Change"))


def _judged(run: Run) -> np.ndarray:
    """(B,) the scores by the judge's verdicts alone, in the order of `Change`."""
    import torch

    from negrefine_core import pipeline

    pictures = torch.cat([features.image_features(run, name).features for name in run.scored_sets])  # (B, D)
    detector = pipeline.detector(run, features.encoder(run), judged_negatives(run))
    return detector.score_features(pictures)["negrefine"].to_numpy()


def _stored(table: pd.DataFrame, label: str) -> pd.Series:
    """Which images have the label among their stored top negatives."""
    return table["negative_labels"].map(lambda labels: label in labels).astype(bool)


def _moved(image: pd.Series) -> str | None:
    """The image's score now and then, where it is known."""
    return f"{image['before']:.3f} → **{image['after']:.3f}**" if "after" in image else None


def _attracted(run: Run, view: View, images: ScoredImages, found: pd.DataFrame) -> None:
    """The pictures that have the label among their top negatives, ID and OOD side by side."""
    st.markdown(
        "**Images it attracts**",
        help="Images that have the label among their top negatives while it is kept. A good negative attracts OOD "
        "images and leaves ID images alone. Beneath each: its NegRefine score now and then. Click one to see more.",
    )
    for column, inside, words in zip(st.columns(2, gap="small"), (True, False), ("ID", "OOD"), strict=True):
        side = found[found["is_id"] == inside]
        with column:
            st.caption(f"{words}: {len(side):,} {plural(len(side), 'image')}")
            with st.container(key=f"gallery_{words.lower()}"):
                for position, (_, image) in enumerate(side.iloc[:SHOWN].iterrows()):
                    with st.container(key=f"card_{words.lower()}_{position}"):
                        image_card(run, view, images, image, _moved(image))
            if len(side) > SHOWN:
                st.caption(f"and {len(side) - SHOWN:,} more")
