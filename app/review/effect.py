"""What restoring or dropping a label does to AUROC, FPR@95 and single images, and which images it attracts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.overrides import DROPPED, changes, verdict_state
from negrefine_core.records import Negative
from negrefine_core.runs import Run

from ..shared import background, errors, features, links
from ..shared.gallery import image_card
from ..shared.known_sets import ask_for_known_sets
from ..shared.scored_images import ScoredImages, flat_scores, is_comparable, top_negatives
from ..shared.view import View
from ..shared.words import plain, plural
from .figures import PREVIEW, figures_table

if TYPE_CHECKING:
    from negrefine_core.effects import Effect

SHOWN = 6  # pictures a side
NO_IMAGES = (
    "This run has no scored images, so what the label attracts and what restoring it would do cannot be shown. "
    "Everything else can be reviewed. To see effects, score images with this run."
)


@dataclass(frozen=True)
class Change:
    """Scores (B,) of the images of all scored sets by the verdicts alone, before and after, and whether the label is
    among their top negatives."""

    judged: np.ndarray
    before: np.ndarray
    after: np.ndarray
    attracted: np.ndarray

    @classmethod
    def of(cls, run: Run, effect: Effect) -> Change:
        judged = features.judged_effects(run, tuple(run.scored_sets)).before
        return cls(judged.numpy(), effect.before.numpy(), effect.after.numpy(), effect.attracted.numpy())

    def table(self, run: Run, images: ScoredImages) -> pd.DataFrame:
        """The images that a page shows, with `is_id` and their `row` there."""
        places, rows = features.rows_of(run, images.sets.names)
        values = {name: getattr(self, name)[places] for name in ("judged", "before", "after", "attracted")}
        return pd.DataFrame({"row": rows, "is_id": images.table["is_id"].to_numpy()[rows], **values})


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
            _attracted(run, view, images, _stored(run, images, row["label"]))
        return
    found = change.table(run, images)
    figures_table(view, found, PREVIEW)
    _attracted(run, view, images, found[found["attracted"]])
    _together(run, view, found)


def _help(view: View) -> str:
    sets = ", ".join(view.ood).replace("_", " ") if view.ood else "all OOD sets"
    return (
        "For this label alone, and about what comes out: all other negatives keep their groups here, while a decision "
        "that is stored draws the groups anew. One label of thousands moves single images more than averages. On the "
        f"run’s ID images against {plain(sets)}, as chosen in Explore; NegRefine score, ID is the "
        "positive class. An image flips when it is accepted before and not after, or the other way round, each time at "
        "Explore’s threshold: by default the one that keeps 95% of the ID images."
    )


def _change(run: Run, row: pd.Series) -> Change | None:
    """The effect, or None and a sign of what is missing or under way."""
    try:
        there = _ready(run)
        if there is None:
            return None
        if not there and not features.ready(run):  # it may have been embedded since
            features.offer(run, "what a decision does to AUROC, FPR@95 and single images")
            return None
        negative = Negative(row["label"], row["pos"], float(row["similarity"]))
        drop = row["decision"] != DROPPED
        return background.result(
            ("effect", run.state("negatives.csv", scores=run.scored_sets), verdict_state(run), negative.label, drop),
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
    effects = features.effects(run, tuple(run.scored_sets))
    return Change.of(run, effects.drop(negative.label) if drop else effects.restore(negative))


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
    table = features.judged_effects(run, tuple(run.scored_sets)).ranking(wanted)
    return table.set_index("label")["attracted"]


def _together(run: Run, view: View, found: pd.DataFrame) -> None:
    """What all overrides so far do together, against the judge's verdicts alone."""
    count = len(changes(run.overrides))
    if not count:
        return
    st.markdown(
        f"**Your {count:,} overrides together**" if count > 1 else "**Your override**",
        help="The judge’s verdicts alone against the negatives as they are now: every label that stayed keeps its "
        "group. “Score again” draws the groups anew, which moves scores a little, too.",
    )
    both = pd.DataFrame({"is_id": found["is_id"], "before": found["judged"], "after": found["before"]})
    figures_table(view, both, ("Judge", "With yours", "Change"))


def _stored(run: Run, images: ScoredImages, label: str) -> pd.DataFrame:
    """The images that have the label among their stored top negatives."""
    rows, total = [], 0
    for name in images.sets.names:
        tops = top_negatives(run, name)
        rows.append(total + tops.index.to_numpy()[(tops == label).to_numpy()])
        total += len(flat_scores(run, name))
    places = np.concatenate(rows)
    return pd.DataFrame({"row": places, "is_id": images.table["is_id"].to_numpy()[places]})


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
                moved_cards(run, view, images, side.iloc[:SHOWN], words.lower())
            if len(side) > SHOWN:
                st.caption(f"and {len(side) - SHOWN:,} more")


def moved_cards(run: Run, view: View, images: ScoredImages, found: pd.DataFrame, kind: str = "") -> None:
    """The images of these rows, each with its score now and then where that is known."""
    shown = images.rows(run, found["row"])
    for position, (_, image) in enumerate(shown.iterrows()):
        moved = found.iloc[position]
        words = f"{moved['before']:.3f} → **{moved['after']:.3f}**" if "after" in found else None
        with st.container(key=f"card_{kind or ('id' if image['is_id'] else 'ood')}_{position}"):
            image_card(run, view, images, image, words)
