"""Review by class: what all rejections for one ID class did, a row a class, and one for the proper nouns."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from negrefine_core import overrides
from negrefine_core.errors import NegRefineError
from negrefine_core.methods import DEFAULT
from negrefine_core.metrics import auroc_and_fpr95
from negrefine_core.overrides import DROPPED, KEPT, DecidedMeanwhileError, Seen
from negrefine_core.records import Negative
from negrefine_core.runs import Run

from ..shared import background, errors, features, links
from ..shared.errors import told
from ..shared.known_sets import ask_for_known_sets
from ..shared.operating_point import threshold
from ..shared.reviewer import reviewer
from ..shared.scored_images import ScoredImages, is_comparable
from ..shared.view import bound
from ..shared.words import plain, plural
from .actions import at_once, numbers, own_lines
from .bulk import written_at_once
from .effect import Change, moved_cards
from .figures import figures_table
from .queue import Queue
from .view import PROPER_NOUNS, ReviewView

T = TypeVar("T")

SHOWN = 12  # pictures
AUROC, FPR95, FLIPS = "Δ AUROC", "Δ FPR@95", "Images that flip"
EFFECT = "effect"  # what is sorted by
HELP = (
    "What the rejections of a row did, against restoring all of them that are dropped now: **Δ AUROC** (above zero "
    "they help) and **Δ FPR@95** (below zero they help), in points, and the **images that flip** at the threshold. "
    "Exact: every other negative keeps its group, and the restored ones are dealt out to the groups, averaged over all "
    "turns. On the run’s ID images against the OOD sets that are chosen in Explore; NegRefine score, ID is the "
    "positive class."
)


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
    if figures is not None:
        rows = rows.join(figures)
    rows = rows.sort_values([name for name in (EFFECT, FLIPS, "Rejected") if name in rows], ascending=False)
    _table(view, rows)
    chosen = view.row if view.row in rows.index else str(rows.index[0])
    st.selectbox("Look at", list(rows.index), format_func=_name, **bound(view, "row", chosen))
    _row(run, view, queue, rejected[rejected["row"] == chosen], images if figures is not None else None)


def _counts(rejected: pd.DataFrame) -> pd.DataFrame:
    groups = rejected.groupby("row", sort=True)
    return pd.DataFrame(
        {
            "Rejected": groups.size(),
            "Doubtful": groups["suspicion"].agg(lambda scores: int((scores > 0).sum())),
            "Overridden": groups["overridden"].sum().astype(int),
            "Reviewed": groups["reviewed"].sum().astype(int),
        }
    )


def _name(row: str) -> str:
    return "Proper nouns" if row == PROPER_NOUNS else row


# --- what the rejections did ------------------------------------------------------------------------------------------


def _images(run: Run, view: ReviewView) -> ScoredImages | None:
    """The images that effects are measured on; None and a sign of what is missing or under way."""
    if not run.scored_sets:
        st.caption("This run has no scored images, so there are counts alone: what the rejections did cannot be shown.")
        return None
    if not is_comparable(run):
        ask_for_known_sets(run, view, "What rejections did is measured by AUROC and FPR@95.")
        return None
    try:
        there = features.checked(run, "Loading the model: a few seconds, once")
        if there is None:
            return None
        if not there and not features.ready(run):
            features.offer(run)
            return None
        return ScoredImages.of(run, replace(view, alone=""))
    except NegRefineError as error:
        errors.show(error, "info")
        return None


def _state(run: Run) -> Hashable:
    return run.state("negatives.csv", "verdicts.jsonl", "overrides.jsonl", scores=run.scored_sets)


def _figures(run: Run, view: ReviewView, images: ScoredImages, dropped: pd.DataFrame) -> pd.DataFrame | None:
    """By row what its rejections did, in points and in images that cross the threshold; None until it is known."""
    row_of = dict(zip(dropped["label"], dropped["row"], strict=True))
    sets: dict[str, list[Negative]] = {row: [] for row in sorted(set(row_of.values()))}
    for negative in run.reviewable:  # the run's order deals them out
        if negative.label in row_of:
            sets[row_of[negative.label]].append(negative)
    key = ("by class", _state(run), images.sets, view.score, view.threshold)  # what each set shows may be said anew
    return _worked_out(key, lambda: _measured(run, view, images, sets), "Working out what each class’s rejections did")


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
            AUROC: 100 * (auroc - then[0]),
            FPR95: 100 * (fpr95 - then[1]),
            FLIPS: int((accepted != (after >= at)).sum()),
            EFFECT: abs(auroc - then[0]),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[AUROC, FPR95, FLIPS, EFFECT])


def _restored(run: Run, labels: Sequence[str]) -> Change:
    """All these labels restored."""
    wanted = set(labels)
    negatives = [negative for negative in run.reviewable if negative.label in wanted]
    return Change.of(run, features.effects(run, tuple(run.scored_sets)).restore_all({"": negatives})[""])


def _table(view: ReviewView, rows: pd.DataFrame) -> None:
    first = "the most effective first" if EFFECT in rows else "the most rejections first"
    st.markdown(f"**What the judge threw out, by class**, {first}", help=HELP)
    shown = rows.drop(columns=EFFECT, errors="ignore").reset_index(names="row")
    shown.insert(0, "ID class", shown["row"].map(_name))
    shown["Queue"] = [f"review?{urlencode(view.query(**_queue_of(row)))}" for row in shown.pop("row")]
    points = st.column_config.NumberColumn(format="%+.3f", help="In percentage points, by these rejections.")
    st.dataframe(
        shown,
        hide_index=True,
        height=38 + 35 * min(len(shown), 10),
        column_config={
            "ID class": st.column_config.TextColumn(pinned=True),
            "Doubtful": st.column_config.NumberColumn(help="Another judge, WordNet or the spelling speaks against it."),
            "Overridden": st.column_config.NumberColumn(help="Decided otherwise by a person."),
            AUROC: points,
            FPR95: points,
            "Queue": st.column_config.LinkColumn(display_text="open", help="Its labels one by one, in a new tab."),
        },
        alt="How many negatives the judge rejected for each ID class, and what that did",
    )


def _queue_of(row: str) -> dict[str, str]:
    """The view's fields that open the labels of a row one by one."""
    if row == PROPER_NOUNS:
        return {"level": "label", "queue": "proper", "id_class": "", "search": "", "label": ""}
    return {"level": "label", "queue": "rejected", "id_class": row, "search": "", "label": ""}


# --- one row ----------------------------------------------------------------------------------------------------------


def _row(
    run: Run,
    view: ReviewView,
    queue: Queue,
    labels: pd.DataFrame,
    images: ScoredImages | None,
) -> None:
    dropped, row = labels[labels["decision"] == DROPPED], str(labels["row"].iloc[0])
    seen = queue.seen(labels)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(
            links.page("review"),
            label=f"Open its queue of {len(labels):,}",
            icon=":material/list:",
            query_params=view.query(**_queue_of(row)),
        )
        _whole_row(run, "Restore", KEPT, dropped["label"].tolist(), seen)
        _whole_row(run, "Drop", DROPPED, labels.loc[labels["decision"] == KEPT, "label"].tolist(), seen)
        _whole_row(run, "Agree with", "", labels.loc[~labels["reviewed"], "label"].tolist(), seen)
        last = overrides.not_undone(queue.overrides)[-at_once(run, view, seen.until) :]
        st.button(
            f"Undo the last {len(last):,}" if len(last) > 1 else "Undo",
            icon=":material/undo:",
            key="row_undo",
            disabled=not last,
            on_click=_undo,
            args=(run, view, seen.until),
        )
    _examples(labels)
    if images is None:
        return
    if dropped.empty:
        st.caption("All of these labels are restored, so there is nothing left that they would change.")
        return
    st.markdown(f"**If all {len(dropped):,} that are dropped were restored**")
    names = dropped["label"].tolist()
    change = _worked_out(("row", _state(run), row), lambda: _restored(run, names), "Working out what they did")
    if change is not None:
        found = change.table(run, images)
        figures_table(view, found, ("Now", "Then", "Change"))
        _flipped(run, view, images, found)


def _examples(labels: pd.DataFrame) -> None:
    """The most doubtful of a row's labels, in words."""
    first = labels.sort_values("suspicion", ascending=False, kind="stable")["label"].head(12)
    more = f" and {len(labels) - len(first):,} more" if len(labels) > len(first) else ""
    st.caption(f"Thrown out, the most doubtful first: {plain(', '.join(first))}{more}")


def _whole_row(run: Run, verb: str, decision: str, labels: list[str], seen: Seen) -> None:
    """A decision on a whole row, after its count and a question; none where it would change nothing."""
    if not labels:
        return
    key = verb.split()[0].lower()
    words = f"{verb} all {len(labels):,}"
    with st.popover(words, icon=":material/checklist:"):
        st.markdown(
            f"{words} labels of this row? "
            + ("Nothing changes; they count as reviewed." if not decision else "One undo takes all of it back.")
        )
        st.button(
            f"Yes, {words[0].lower()}{words[1:]}",
            type="primary",
            key=f"row_{key}",
            on_click=_decide,
            args=(run, labels, decision, seen),
        )


@told
def _decide(run: Run, labels: list[str], decision: str, seen: Seen) -> None:
    """Nothing where somebody decided on one of the labels since: the count that was agreed to is another now. A button
    that is pressed twice decides once."""
    own = own_lines()
    seen_here = Seen(seen.until, {label: seen.decisions[label] for label in labels})
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
    written_at_once(run, added)


@told
def _undo(run: Run, view: ReviewView, until: int) -> None:
    """Nothing where somebody else decided since the button was drawn: the last decision is then another."""
    own = own_lines()
    while (run.name, until) in own:
        until += 1
    undone = overrides.undo(run, reviewer(), at_once(run, view, until), until)
    own.update(numbers(run, undone))
    if undone:
        st.toast(f"Took back {len(undone):,} {plural(len(undone), 'decision')}.")


def _flipped(run: Run, view: ReviewView, images: ScoredImages, found: pd.DataFrame) -> None:
    """The pictures that cross the threshold, the farthest moved first."""
    sides = [found[side] >= threshold(view, found, DEFAULT, side) for side in ("before", "after")]
    flipped = found[sides[0] != sides[1]]
    order = (flipped["after"] - flipped["before"]).abs().sort_values(ascending=False, kind="stable").index
    flipped = flipped.loc[order]
    st.markdown(
        f"**{len(flipped):,} {plural(len(flipped), 'image')}** would cross the threshold"
        + (":" if len(flipped) else ".")
    )
    with st.container(key="gallery_flips"):
        moved_cards(run, view, images, flipped.iloc[:SHOWN])
    if len(flipped) > SHOWN:
        st.caption(f"and {len(flipped) - SHOWN:,} more")
