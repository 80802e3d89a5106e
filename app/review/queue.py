"""The negatives to review, one after another: every verdict with its doubt and a person's decision."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from negrefine_core.decisions import next_number
from negrefine_core.judges.agreement import unsureness
from negrefine_core.judges.doubts import by_judge, doubts_of
from negrefine_core.overrides import KEPT, Seen, decided, select, verdict_state, verdict_table
from negrefine_core.records import Override, Subject, Verdict
from negrefine_core.runs import Run

from ..shared.cached import cached_by
from ..shared.scored_images import top_negatives
from ..shared.wordnet import WORDNET_LOCK, wordnet
from .blind import own_log
from .view import ReviewView

KINDS = {"proper": "proper noun", "subcategory": "subcategory", "same": "same", "kept": KEPT}


@dataclass(frozen=True)
class Judged:
    """`table` is `verdict_table` with `suspicion`, `why` and `unsure` (by the judge's own P(yes)); `chains` the
    questions of each negative, in order; `others` what other judges answered, by what was asked; `usual_file` the
    lexicographer file of the ID classes."""

    table: pd.DataFrame
    chains: dict[str, list[Verdict]]
    others: dict[Subject, list[Verdict]]
    usual_file: str


@cached_by(
    verdict_state,
    max_entries=4,
    spinner="Reading the verdicts and asking WordNet for a second opinion",
    keep="itself",
)
def judged(run: Run) -> Judged:
    """What the run's judge decided, with its doubts, read once for each state of the verdicts' log."""
    table = verdict_table(run)
    chains, judges = by_judge(run)
    others: dict[Subject, list[Verdict]] = {}
    for verdict in (verdict for verdicts in judges for verdict in verdicts):
        others.setdefault(verdict.subject, []).append(verdict)
    with WORDNET_LOCK:
        doubts = doubts_of(run, wordnet())
    found = [doubts.found.get(label, (0.0, "")) for label in table["label"]]
    table["suspicion"] = [score for score, _ in found]
    table["why"] = [why for _, why in found]
    table["unsure"] = pd.Series([unsureness(chains.get(label, ())) for label in table["label"]], dtype=float)
    return Judged(table, chains, others, doubts.usual_file)


@dataclass(frozen=True)
class Queue:
    """`table` holds every negative in the chosen order; `inside` (n,) marks those that pass the filters, and `scope`
    those of which the reviewed are counted; `overrides` is the log that went into it."""

    table: pd.DataFrame
    inside: np.ndarray
    scope: np.ndarray
    overrides: list[Override]

    @property
    def until(self) -> int:
        """The number of the log's next line."""
        return next_number(self.overrides)

    def seen(self, rows: pd.DataFrame) -> Seen:
        """What a person sees of these rows."""
        return Seen.of(rows, self.overrides)

    @property
    def labels(self) -> list[str]:
        return self.table["label"][self.inside].tolist()

    @property
    def progress(self) -> tuple[int, int]:
        """(reviewed, all) of the queue."""
        return int(self.table["reviewed"].to_numpy()[self.scope].sum()), int(self.scope.sum())

    def row(self, label: str) -> pd.Series | None:
        found = np.flatnonzero(self.table["label"].to_numpy() == label)
        return self.table.iloc[found[0]] if len(found) else None

    def place(self, label: str) -> int | None:
        """Where the label stands in the queue, from 1."""
        found = np.flatnonzero(self.table["label"].to_numpy()[self.inside] == label)
        return int(found[0]) + 1 if len(found) else None

    def neighbour(self, label: str, step: int) -> str | None:
        """The label before (-1) or after (1) in the queue, whether this one is in it or not."""
        here = self._row_number(label)
        rows = np.flatnonzero(self.inside)
        rows = rows[rows < here][::-1] if step < 0 else rows[rows > here]
        return str(self.table["label"].iloc[rows[0]]) if len(rows) else None

    def open_after(self, label: str = "") -> str | None:
        """The next label that nobody has reviewed, from the top again after the last; None when all are."""
        rows = np.flatnonzero(self.inside & ~self.table["reviewed"].to_numpy())
        here = self._row_number(label)
        rows = np.concatenate([rows[rows > here], rows[rows < here]])
        return str(self.table["label"].iloc[rows[0]]) if len(rows) else None

    def _row_number(self, label: str) -> int:
        found = np.flatnonzero(self.table["label"].to_numpy() == label)
        return int(found[0]) if len(found) else -1


def review_queue(
    run: Run, view: ReviewView, impact: pd.Series | None = None, narrowed: Collection[str] | None = None
) -> Queue:
    """The view's queue, by the run's decisions or, blind, by the reviewer's own. `impact` is the number of images by
    label, where it is known; `narrowed` are the labels that a choice on the map leaves, if there is one."""
    log = own_log(run) if view.blind else run.overrides
    table = decided(judged(run).table, log)
    table["impact"] = table["label"].map(impact).fillna(0).astype(int) if impact is not None else 0
    table = table.iloc[_sorted_rows(table, view.order)].reset_index(drop=True)
    scope = np.zeros(len(table), dtype=bool)
    scope[select(table, KINDS.get(view.queue, ""), view.id_class, view.search).index] = True
    if view.sample:
        scope &= table["label"].isin(view.sample).to_numpy()
    if narrowed is not None:
        scope &= table["label"].isin(narrowed).to_numpy()
    if view.queue == "rejected":
        scope &= (table["verdict"] != KEPT).to_numpy()
    if view.queue == "overridden":
        scope &= table["overridden"].to_numpy()
    inside = scope & ~table["reviewed"].to_numpy() if view.queue == "unreviewed" else scope
    return Queue(table, inside, scope, log)


def _sorted_rows(table: pd.DataFrame, order: str) -> np.ndarray:
    """Row numbers in the order; equals stay as mined, and rejections come before what is kept."""
    if order == "alphabet":
        return table["label"].str.casefold().argsort(kind="stable").to_numpy()
    if order == "mined":
        return np.arange(len(table))
    kept = (table["verdict"] == KEPT).to_numpy()
    return np.lexsort([kept, -table[order].fillna(-1.0).to_numpy()])


def stored_impact(run: Run) -> pd.Series:
    """Of how many scored images each negative is among the stored top negatives, by label."""
    total = pd.Series(dtype=int)
    for name in run.scored_sets:
        total = total.add(top_negatives(run, name).astype("category").value_counts().rename(str), fill_value=0)
    return total
