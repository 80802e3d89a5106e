"""What restoring or dropping a label does to AUROC, FPR@95 and single images, and which images it attracts."""

from __future__ import annotations

from collections.abc import Sequence
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
from ..shared.gallery import image_card, kind
from ..shared.known_sets import need_known_sets
from ..shared.scored_images import ScoredImages, flat_scores, is_comparable, sets_by_themselves, top_negatives
from ..shared.view import View
from ..shared.words import plain, plural, some
from .figures import PREVIEW, figures_table

if TYPE_CHECKING:
    from negrefine_core.effects import Effect

SHOWN = 6  # pictures a side
LOADING = "Loading the model: a few seconds, once"
NEED_BOTH = "AUROC, FPR@95 and what turns right or wrong"
Shown = tuple[ScoredImages, pd.DataFrame]  # images, and which of their rows are shown
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
        """The images that a page shows, with their `row` there and, of sets that are compared, `is_id`."""
        places, rows = features.rows_of(run, images.sets.names)
        values = {name: getattr(self, name)[places] for name in ("judged", "before", "after", "attracted")}
        return _with_truth(images, pd.DataFrame({"row": rows, **values}))


def _with_truth(images: ScoredImages, found: pd.DataFrame) -> pd.DataFrame:
    return found if images.is_alone else found.assign(is_id=images.table["is_id"].to_numpy()[found["row"]])


def scored_images(run: Run, view: View) -> list[ScoredImages]:
    """All that is scored: the chosen ID and OOD images together, where a run has both, and each other set by itself."""
    names = ["", *sets_by_themselves(run)] if is_comparable(run) else sets_by_themselves(run)
    return [ScoredImages.of(run, replace(view, alone=name)) for name in names]


def effect_of_decision(run: Run, view: View, row: pd.Series) -> None:
    if not run.scored_sets:
        background.begin(("torch",), lambda: import_module("torch"))  # a first override waits for it
        st.info(NO_IMAGES, icon=":material/image_not_supported:")
        st.page_link(
            links.page("score"), label="Score images", icon=":material/play_circle:", query_params=view.query()
        )
        return
    dropped = row["decision"] == DROPPED
    st.markdown(f"**If you {'restore' if dropped else 'drop'} it**", help=_help(run, view))
    images, change = scored_images(run, view), _change(run, row)
    if change is None:
        if not dropped and not row["overridden"]:  # else the stored scores know nothing of it yet
            pictures_by_set(run, view, "Images it attracts", [(x, _stored(run, x, row["label"])) for x in images])
        return
    tables = [change.table(run, each) for each in images]
    if is_comparable(run):
        figures_table(view, tables[0], PREVIEW)
    shown = [(each, table[table["attracted"]]) for each, table in zip(images, tables, strict=True)]
    pictures_by_set(run, view, "Images it attracts", shown)
    if is_comparable(run):
        _together(run, view, tables[0])
    else:
        need_known_sets(run, view, NEED_BOTH)


def _help(run: Run, view: View) -> str:
    alone = (
        "For this label alone, and about what comes out: all other negatives keep their groups here, while a decision "
        "that is stored draws the groups anew. One label of thousands moves single images more than averages."
    )
    if not is_comparable(run):
        return alone
    sets = ", ".join(view.ood).replace("_", " ") if view.ood else "all OOD sets"
    return (
        f"{alone} On the run’s ID images against {plain(sets)}, as chosen in Explore; NegRefine score, ID is the "
        "positive class. An image flips when it is accepted before and not after, or the other way round, each time at "
        f"Explore’s threshold: by default the one that keeps 95% of the ID images."
    )


def _change(run: Run, row: pd.Series) -> Change | None:
    """The effect, or None and a sign of what is missing or under way."""
    try:
        gain = "what a decision does to figures and single images"
        if not features.at_hand(run, LOADING, gain):
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


def _computed(run: Run, negative: Negative, drop: bool) -> Change:
    effects = features.effects(run, tuple(run.scored_sets))
    return Change.of(run, effects.drop(negative.label) if drop else effects.restore(negative))


def images_by_label(run: Run) -> pd.Series | None:
    """How many images each rejected label would attract, by label; None and a sign of waiting until it is there."""
    key = ("ranking", verdict_state(run), run.state(scores=run.scored_sets))
    try:
        if not features.checked(run, LOADING):
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
    return _with_truth(images, pd.DataFrame({"row": np.concatenate(rows)}))


def farthest_first(found: pd.DataFrame) -> pd.DataFrame:
    """The rows whose scores move most first."""
    return found.iloc[(found["before"] - found["after"]).abs().to_numpy().argsort(kind="stable")[::-1]]


def pictures_by_set(run: Run, view: View, title: str, shown: Sequence[Shown]) -> None:
    """The pictures of each set that move farthest, ID and OOD side by side, with their scores now and then where those
    are known."""
    st.markdown(
        f"**{title}**",
        help="A label attracts the images that have it among their top negatives while it is kept. A good negative "
        "attracts OOD images and leaves ID images alone. Beneath each: its NegRefine score now and then, those that "
        "move farthest first. Click one to see more.",
    )
    none = [images.sets.alone for images, found in shown if images.is_alone and found.empty]
    sides = [side for images, found in shown if images.sets.alone not in none for side in _sides(run, images, found)]
    columns = st.columns(max(1, min(2, len(sides))), gap="small")
    for number, (words, images, found) in enumerate(sides):
        with columns[number % len(columns)]:
            mean = found["after"].sub(found["before"]).mean() if "after" in found and len(found) else None
            moved = "" if mean is None else f", mean {mean:+z.3f}".replace("-", "−")
            st.caption(f"{words}: {len(found):,} {plural(len(found), 'image')}{moved}")
            with st.container(key=f"gallery_small_{number}"):
                first = farthest_first(found) if "after" in found else found
                _moved_cards(run, view, images, first.iloc[:SHOWN], number)
            if len(found) > SHOWN:
                st.caption(f"and {len(found) - SHOWN:,} more")
    if none:
        st.caption(f"None of {some(none, 6)}")


def _sides(run: Run, images: ScoredImages, found: pd.DataFrame) -> list[tuple[str, ScoredImages, pd.DataFrame]]:
    """In words which images these are, those that are compared apart by what they show."""
    if images.is_alone:
        return [(f"{plain(images.sets.alone)}, {run.role(images.sets.alone)}", images, found)]
    return [(words, images, found[found["is_id"] == inside]) for words, inside in (("ID", True), ("OOD", False))]


def _moved_cards(run: Run, view: View, images: ScoredImages, found: pd.DataFrame, number: int) -> None:
    shown = images.rows(run, found["row"])
    for position, (_, image) in enumerate(shown.iterrows()):
        moved = found.iloc[position]
        words = f"{moved['before']:.3f} → **{moved['after']:.3f}**" if "after" in found else None
        with st.container(key=f"card_{kind(image)}_{number}_{position}"):
            image_card(run, view, images, image, words)
