"""Review by class: what all rejections for one ID class did, a row a class, and one for the proper nouns."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core import overrides
from negrefine_core.decisions import next_number
from negrefine_core.errors import NegRefineError
from negrefine_core.methods import DEFAULT
from negrefine_core.metrics import auroc_and_fpr95
from negrefine_core.overrides import DROPPED, KEPT, DecidedMeanwhileError, Seen
from negrefine_core.records import Negative, Override
from negrefine_core.runs import Run

from ..shared import background, errors, features, links
from ..shared.errors import told
from ..shared.gallery import image_gallery
from ..shared.known_sets import need_known_sets
from ..shared.operating_point import threshold
from ..shared.reviewer import reviewer
from ..shared.scored_images import ScoredImages
from ..shared.view import bound, change
from ..shared.words import plain, plural
from .actions import at_once, numbers, own_lines
from .bulk import written_at_once
from .effect import LOADING, NEED_BOTH, Change, farthest_first, pictures_by_set, scored_images
from .figures import PREVIEW, crossings, figures_table, shown_change, thresholds
from .queue import Queue
from .view import ALL_LABELS, CROSSED, PROPER_NOUNS, ReviewView

T = TypeVar("T")

ACTED = "review_row"  # the `Acted` of this session's last decision on a whole row
AUROC, FPR95, FLIPS = "Δ AUROC, points", "Δ FPR@95, points", "Images that flip"
ATTRACTED = "Images they would attract"
COLUMNS = ("Rejected", ATTRACTED, AUROC, FPR95, FLIPS, "Doubtful", "Restored", "Reviewed")
EFFECT = "effect"  # what is sorted by
NAMED = {"in": "let in", "lost": "lost", "caught": "caught", "won": "won back"}  # of one image
ABOUT = (
    "About, as all other negatives keep their groups here, while a decision that is stored draws the groups anew: what "
    "comes out may differ by some tenths of a point."
)
HELP = (
    "What restoring all labels of a row that are dropped now would change: **Δ AUROC** (below zero: it is good that "
    "they are out) and **Δ FPR@95** (above zero: it is good that they are out), in percentage points, and the **images "
    f"that flip** at the threshold. {ABOUT} The restored ones are dealt out to the groups, averaged over all turns. "
    "The class that is looked at has its changes below with their 95% intervals. On "
    "the run’s ID images against the OOD sets that are chosen in Explore; NegRefine score, ID is the positive class."
)


@dataclass(frozen=True)
class Acted:
    """A decision on a whole row: the run, the row, the number after the log's last line, what was done in words, and
    the scores (B,) of all scored sets before it."""

    run: str
    row: str
    until: int
    doing: str
    before: np.ndarray


def by_class(run: Run, view: ReviewView, queue: Queue) -> None:
    """The table of all classes, and one of them looked at. `queue` holds every negative."""
    rejected = queue.table[queue.table["kind"] != ""]
    if rejected.empty:
        st.info("The judge rejected nothing, so there is nothing to look at by class.", icon=":material/inbox:")
        return
    rejected = rejected.assign(row=rejected["id_label"].where(rejected["kind"] != "proper noun", PROPER_NOUNS))
    rows = _counts(rejected)
    images = _images(run, view)
    figures = _figures(run, view, images, rejected[rejected["decision"] == DROPPED]) if images else None
    if figures is not None:  # where nothing is dropped, nothing would change
        rows = rows.join(figures).fillna(0.0).astype({name: int for name in (FLIPS, ATTRACTED) if name in figures})
    rows = rows.sort_values([name for name in (EFFECT, FLIPS, "Rejected") if name in rows], ascending=False)
    _table(view, rows)
    chosen = view.row if view.row in rows.index else str(rows.index[0])
    st.selectbox("Look at", list(rows.index), format_func=_name, **bound(view, "row", chosen, crossed="", page=1))
    _row(run, view, queue, rejected[rejected["row"] == chosen], images if figures is not None else None)


def _counts(rejected: pd.DataFrame) -> pd.DataFrame:
    groups = rejected.groupby("row", sort=True)
    return pd.DataFrame(
        {
            "Rejected": groups.size(),
            "Doubtful": groups["suspicion"].agg(lambda scores: int((scores > 0).sum())),
            "Restored": groups["overridden"].sum().astype(int),
            "Reviewed": groups["reviewed"].sum().astype(int),
        }
    )


def _name(row: str) -> str:
    return "Proper nouns" if row == PROPER_NOUNS else row


# --- what the rejections did ------------------------------------------------------------------------------------------


def _images(run: Run, view: ReviewView) -> list[ScoredImages] | None:
    """The images that effects are measured on; None and a sign of what is missing or under way."""
    if not run.scored_sets:
        st.caption("This run has no scored images, so there are counts alone: what the rejections did cannot be shown.")
        return None
    try:
        gain = "what each class’s rejections did, and to which images"
        is_at_hand = features.at_hand(run, LOADING, gain)
        return scored_images(run, view) if is_at_hand else None
    except NegRefineError as error:
        errors.show(error, "info")
        return None


def _row_key(run: Run, row: str) -> tuple[Any, ...]:
    return "row", _state(run), row


def _state(run: Run) -> Hashable:
    return run.state("negatives.csv", "verdicts.jsonl", "overrides.jsonl", scores=run.scored_sets)


def _figures(run: Run, view: ReviewView, images: Sequence[ScoredImages], dropped: pd.DataFrame) -> pd.DataFrame | None:
    """By row what restoring it would change, in points and in images that flip, or how many images it would attract
    where there is no ID set or no OOD set; None until it is known."""
    row_of = dict(zip(dropped["label"], dropped["row"], strict=True))
    sets: dict[str, list[Negative]] = {row: [] for row in sorted(set(row_of.values()))}
    for negative in run.reviewable:  # the run's order deals them out
        if negative.label in row_of:
            sets[row_of[negative.label]].append(negative)
    first = images[0]
    key = ("by class", _state(run), first.sets, view.score, view.threshold)  # what each set shows may be said anew
    work = partial(_attracting, run, sets) if first.is_alone else partial(_measured, run, view, first, sets)
    return _worked_out(key, work, "Working out what each class’s rejections did")


def _worked_out(key: tuple[Any, ...], work: Callable[[], T], doing: str) -> T | None:
    try:
        return background.result(key, work, doing)
    except NegRefineError as error:
        errors.show(error, "info")
        return None


def _measured(run: Run, view: ReviewView, images: ScoredImages, sets: Mapping[str, Sequence[Negative]]) -> pd.DataFrame:
    """The scores of one row after the other: those of all rows at once would not fit into memory."""
    effects = features.effects(run, tuple(run.scored_sets))
    places, order = features.rows_of(run, images.sets.names)
    table = pd.DataFrame({"is_id": images.table["is_id"].to_numpy()[order], "before": effects.before.numpy()[places]})
    inside, before = table["is_id"].to_numpy(), table["before"].to_numpy()
    auroc, fpr95 = auroc_and_fpr95(before[inside], before[~inside])
    accepted = before >= threshold(view, table, DEFAULT, "before")
    rows = {}
    for row, effect in effects.each_restored(sets):
        after = effect.after.numpy()[places]
        then = auroc_and_fpr95(after[inside], after[~inside])
        at = threshold(view, table.assign(after=after), DEFAULT, "after")
        rows[row] = {
            AUROC: shown_change(auroc, then[0]),
            FPR95: shown_change(fpr95, then[1]),
            FLIPS: int((accepted != (after >= at)).sum()),
            EFFECT: abs(auroc - then[0]),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[AUROC, FPR95, FLIPS, EFFECT], dtype=float)


def _attracting(run: Run, sets: Mapping[str, Sequence[Negative]]) -> pd.DataFrame:
    """Of how many images some of a row's labels would be among the top negatives."""
    found = features.effects(run, tuple(run.scored_sets)).each_restored(sets)
    counts = {row: int(effect.attracted.sum()) for row, effect in found}
    return pd.DataFrame({ATTRACTED: counts, EFFECT: counts}, dtype=float)


def _restored(run: Run, labels: Sequence[str]) -> Change:
    """All these labels restored."""
    wanted = set(labels)
    negatives = [negative for negative in run.reviewable if negative.label in wanted]
    return Change.of(run, features.effects(run, tuple(run.scored_sets)).restore_all({"": negatives})[""])


def _since(run: Run, before: np.ndarray) -> Change:
    """From these scores (B,) to those as they are now."""
    now = features.effects(run, tuple(run.scored_sets)).before.numpy()
    return Change(now, before, now, np.zeros(len(now), dtype=bool))


def _table(view: ReviewView, rows: pd.DataFrame) -> None:
    first = "the most rejections first"
    if AUROC in rows:
        first = "and what restoring it would change, the most effective first"
    if ATTRACTED in rows:
        first = "and how many images it would attract, the most first"
    st.markdown(f"**What the judge threw out, by class**, {first}", help=HELP if AUROC in rows else None)
    shown = rows[[name for name in COLUMNS if name in rows]].reset_index(names="ID class")
    shown["ID class"] = shown["ID class"].map(_name)
    points = st.column_config.NumberColumn(format="%+.2f", help="If all of it that is dropped were restored, about.")
    st.dataframe(
        shown,
        hide_index=True,
        height=38 + 35 * min(len(shown), 10),
        column_config={
            "ID class": st.column_config.TextColumn(pinned=True),
            AUROC: points,
            FPR95: points,
            ATTRACTED: st.column_config.NumberColumn(
                help="Images with one of its labels among their top negatives, if all that are dropped were restored."
            ),
            "Doubtful": st.column_config.NumberColumn(help="Another judge, WordNet or the spelling speaks against it."),
            "Restored": st.column_config.NumberColumn(help="Put back by a person: negatives again."),
        },
        alt="How many negatives the judge rejected for each ID class, and what restoring them would change",
    )
    with st.container(key="narrow_note"):
        st.caption("More columns to the right: swipe or scroll the table.")


def _queue_of(row: str) -> dict[str, str]:
    """The view's fields that open the labels of a row one by one."""
    if row == PROPER_NOUNS:
        return ALL_LABELS | {"level": "label", "queue": "proper"}
    return ALL_LABELS | {"level": "label", "queue": "rejected", "id_class": row}


# --- one row ----------------------------------------------------------------------------------------------------------


def _row(
    run: Run,
    view: ReviewView,
    queue: Queue,
    labels: pd.DataFrame,
    images: Sequence[ScoredImages] | None,
) -> None:
    dropped, row = labels[labels["decision"] == DROPPED], str(labels["row"].iloc[0])
    kept, unreviewed = labels[labels["decision"] == KEPT], labels[~labels["reviewed"]]
    seen = queue.seen(labels)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(
            links.page("review"),
            label=f"Open its queue of {len(labels):,}",
            icon=":material/list:",
            query_params=view.query(**_queue_of(row)),
        )
        if row != PROPER_NOUNS:
            st.page_link(
                links.page("review"),
                label="What lies around it",
                icon=":material/scatter_plot:",
                query_params=view.query(**ALL_LABELS | {"level": "map", "queue": "all", "around": row}),
            )
        _whole_row(run, view, row, f"Restore all {len(dropped):,}", KEPT, dropped["label"].tolist(), seen)
        _whole_row(run, view, row, f"Drop all {len(kept):,}", DROPPED, kept["label"].tolist(), seen)
        _whole_row(run, view, row, f"Keep all {len(unreviewed):,} out", "", unreviewed["label"].tolist(), seen)
        _undo_button(run, view, queue, labels, row)
    _examples(labels, dropped)
    if images is None:
        return
    acted = st.session_state.get(ACTED)
    if isinstance(acted, Acted) and (acted.run, acted.row, acted.until) == (run.name, row, queue.until):
        st.markdown(f"**What {acted.doing} did**")
        since = _worked_out(("acted", _state(run)), lambda: _since(run, acted.before), "Working out what that did")
        if since is not None:
            _change(run, view, images, since, ("Before", "After", "Change"), "crossed")
    elif len(dropped):
        st.markdown(f"**If all {len(dropped):,} that are dropped were restored**")
        names = dropped["label"].tolist()
        change = _worked_out(_row_key(run, row), lambda: _restored(run, names), "Working out what they did")
        if change is not None:
            _change(run, view, images, change, PREVIEW, "would cross")


def _examples(labels: pd.DataFrame, dropped: pd.DataFrame) -> None:
    """Some of a row's labels in words, the most doubtful first: those that are out, or all where none is any more."""
    many = dropped if len(dropped) else labels
    first = many.sort_values("suspicion", ascending=False, kind="stable")["label"].head(12)
    more = f" and {len(many) - len(first):,} more" if len(many) > len(first) else ""
    said = f"All {len(labels):,} restored: negatives again, and nothing is thrown out"
    if len(dropped):
        said = f"{len(dropped):,} of {len(labels):,} thrown out"
    st.caption(f"{said}. The most doubtful first: {plain(', '.join(first))}{more}")


def _whole_row(run: Run, view: ReviewView, row: str, words: str, decision: str, labels: list[str], seen: Seen) -> None:
    """A decision on a whole row, after its count and a question; none where it would change nothing."""
    if not labels:
        return
    key = {KEPT: "restore", DROPPED: "drop", "": "keep"}[decision]
    with st.popover(words, icon=":material/checklist:"):
        st.markdown(
            f"{plain(_name(row))}: {words[0].lower()}{words[1:]}? "
            + ("Nothing changes; they count as reviewed." if not decision else "One undo takes all of it back.")
        )
        st.button(
            f"Yes, {words[0].lower()}{words[1:]}",
            type="primary",
            key=f"row_{key}",
            on_click=_decide,
            args=(run, view, row, labels, decision, seen),
        )


@told
def _decide(run: Run, view: ReviewView, row: str, labels: list[str], decision: str, seen: Seen) -> None:
    """Nothing where somebody decided on one of the labels since: the count that was agreed to is another now. A button
    that is pressed twice decides once. The page stays on the row."""
    own, shown = own_lines(), background.known(_row_key(run, row))
    seen_here = Seen(seen.until, {label: seen.decisions[label] for label in labels})
    change(view, row=row, crossed="", page=1)
    try:
        if decision:
            added = overrides.override(run, labels, decision, reviewer(), seen=seen_here)
        else:
            added = overrides.confirm(run, labels, reviewer(), seen=seen_here)
    except DecidedMeanwhileError as error:
        if error.lines and own.issuperset(numbers(run, error.lines)):
            return
        raise
    own.update(numbers(run, added))
    written_at_once(run, added, "“Undo” beside them takes back all")
    if decision and added and isinstance(shown, Change):
        doing = f"{'restoring' if decision == KEPT else 'dropping'} {len(added):,} {plural(len(added), 'label')}"
        st.session_state[ACTED] = Acted(run.name, row, next_number(added), doing, shown.before)


def _undo_button(run: Run, view: ReviewView, queue: Queue, labels: pd.DataFrame, row: str) -> None:
    """Takes the run's last decision back where that was on this row's labels: all of it, if it was made at once."""
    last = overrides.not_undone(queue.overrides)[-at_once(run, view, queue.until) :]
    if last and {entry.negative for entry in last} <= set(labels["label"]):
        st.button(
            f"Undo: {_what(row, last)}",
            icon=":material/undo:",
            key="row_undo",
            on_click=_undo,
            args=(run, view, row, len(last), queue.until),
        )


def _what(row: str, last: Sequence[Override]) -> str:
    """Decisions in words: food, 2,099 restored."""
    done = {(DROPPED, KEPT): "restored", (KEPT, DROPPED): "dropped"}.get((last[-1].old, last[-1].new), "reviewed")
    if len(last) > 1:
        return f"{plain(_name(row))}, {len(last):,} {done}"
    return f"“{plain(last[-1].negative)}” {done}"


@told
def _undo(run: Run, view: ReviewView, row: str, count: int, until: int) -> None:
    """Nothing where somebody else decided since the button was drawn: the last decision is then another. A button that
    is pressed twice takes back once."""
    own = own_lines()
    change(view, row=row)
    try:
        undone = overrides.undo(run, reviewer(), count, until)
    except DecidedMeanwhileError as error:
        if own.issuperset(numbers(run, error.lines)):
            return
        raise
    own.update(numbers(run, undone))
    st.toast(f"Took back {len(undone):,} {plural(len(undone), 'decision')}.")


def _change(
    run: Run,
    view: ReviewView,
    images: Sequence[ScoredImages],
    change: Change,
    columns: tuple[str, str, str],
    crossed: str,
) -> None:
    """What becomes of the sets that are compared, and of each set by itself the pictures that are attracted, or moved
    by what was decided."""
    tables = [change.table(run, each) for each in images]
    alone = [(each, table) for each, table in zip(images, tables, strict=True) if each.is_alone]
    if len(alone) < len(images):
        _compared(run, view, images[0], tables[0], columns, crossed)
    if alone and columns == PREVIEW:
        pictures_by_set(run, view, ATTRACTED, [(x, found[found["attracted"]]) for x, found in alone])
    elif alone:
        pictures_by_set(run, view, "Images that moved", [(x, found[_moved(found)]) for x, found in alone])
    if len(alone) == len(images):
        need_known_sets(run, view, NEED_BOTH)


def _moved(found: pd.DataFrame) -> pd.Series:
    return found["before"].round(3) != found["after"].round(3)  # as they are shown


def _compared(
    run: Run,
    view: ReviewView,
    images: ScoredImages,
    found: pd.DataFrame,
    columns: tuple[str, str, str],
    crossed: str,
) -> None:
    """The figures before and after, and the pictures that cross the threshold: a kind at a time, the farthest moved
    first."""
    figures_table(view, found, columns)
    at, inside = thresholds(view, found), found["is_id"]
    notes = [f"NegRefine score, {inside.sum():,} ID and {(~inside).sum():,} OOD images, all sets pooled."]
    if columns == PREVIEW:
        notes.append(ABOUT)
    if at[0] != at[1]:
        notes.append(
            f"Each side has its own threshold, {at[0]:.3f} and {at[1]:.3f}: a score may fall and yet come to lie above."
        )
    st.caption(" ".join(notes))
    codes = crossings(found, at)
    counts = codes[codes != ""].value_counts()
    flipped = int(counts.sum())
    if not flipped:
        st.markdown(f"**No image** {crossed} the threshold.")
        return
    st.markdown(
        f"**{flipped:,} {plural(flipped, 'image')}** {crossed} the threshold. A card with a blue edge is ID (one of "
        "your classes), with an orange one OOD."
    )
    chosen = view.crossed if view.crossed in counts else str(counts.index[0])
    st.segmented_control(
        "Which of them",
        list(counts.index),
        format_func=lambda code: f"{counts[code]:,} {CROSSED[code]}",
        label_visibility="collapsed",
        required=True,
        **bound(view, "crossed", chosen, page=1),
    )
    moved = farthest_first(found[codes == chosen])
    said: dict[Hashable, str] = {
        image.row: f"{image.before:.3f} → **{image.after:.3f}**  \n{NAMED[chosen]}" for image in moved.itertuples()
    }
    image_gallery(run, view, images, moved["row"].to_numpy(), lambda image: said[image.name])
