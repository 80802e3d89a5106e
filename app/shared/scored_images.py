"""The scored images of a view: ID and OOD sets compared, or one set by itself; judged at the threshold, and sorted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from negrefine_core import marks, sorting
from negrefine_core.errors import UnfinishedError
from negrefine_core.methods import Method, offered
from negrefine_core.operating_point import OUTCOMES, UNKNOWN_OUTCOMES, outcomes
from negrefine_core.records import Mark
from negrefine_core.run_files.scores import together
from negrefine_core.runs import Run
from negrefine_core.show.charts import decimals

from .address import by_address
from .cached import cached_by
from .operating_point import Threshold, rule_words, threshold, threshold_alone
from .view import View


@dataclass(frozen=True)
class Sets:
    """Which image sets are looked at: the ID set `id` and the OOD sets `ood`, of which `others` are all there are; or
    `alone` one by itself, while the others say what threshold is carried over to it, as far as the run has them."""

    id: str
    others: tuple[str, ...]
    ood: tuple[str, ...]
    alone: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What is looked at."""
        return (self.alone,) if self.alone else (self.id, *self.ood)


def choose_sets(run: Run, view: View) -> Sets:
    """The view's sets where the run has them, else the run's own: an ID set with OOD sets, where there are both.

    What a set shows is what was said of it, and never what a URL names it. Raises UnfinishedError without scores.
    """
    if not run.scored_sets:
        raise UnfinishedError(
            f"The run {run.name!r} has no scored pictures yet. Score some on the page Score, sorted or not."
        )
    inside = view.id if view.id in run.id_sets else run.id_set or ""
    others = tuple(run.ood_sets)
    ood = tuple(name for name in view.ood if name in others) or others
    by_themselves = sets_by_themselves(run)
    alone = view.alone if view.alone in by_themselves else ""
    if not alone and not is_comparable(run):
        alone = by_themselves[0]
    return Sets(inside, others, ood, alone)


def is_comparable(run: Run) -> bool:
    """Whether the run has a set of its ID classes and one of something else: then there are figures."""
    return bool(run.id_sets and run.ood_sets)


def sets_by_themselves(run: Run) -> list[str]:
    """The sets that can be looked at by themselves: those of which nobody knows what they show, and those that have
    nothing to be compared with."""
    unknown = run.unknown_sets
    return unknown if is_comparable(run) else [*unknown, *(name for name in run.scored_sets if name not in unknown)]


@cached_by(lambda run, image_set: run.state(scores=[image_set]), max_entries=64, keep="itself")
def scores(run: Run, image_set: str) -> pd.DataFrame:
    """An image set's scores, or a sample of too many, shared and never changed; read again when the file is another."""
    return run.sample(image_set)


@cached_by(lambda run, image_set: run.state("marks.jsonl", scores=[image_set]), max_entries=16)
def marked(run: Run, image_set: str) -> dict[str, Mark]:
    """What a person said of pictures of a set, by path."""
    return marks.marked(run, image_set)


@cached_by(lambda run, image_set: run.state(scores=[image_set]), max_entries=64, keep="itself")
def flat_scores(run: Run, image_set: str) -> pd.DataFrame:
    """The same without lists, and with the `image_set` and each image's `row` in its scores."""
    flat = run.flat_scores(image_set)
    return flat.assign(image_set=pd.Categorical([image_set]).repeat(len(flat)), row=np.arange(len(flat)))


@cached_by(lambda run, image_set: run.state(scores=[image_set]), max_entries=16, keep="itself")
def top_negatives(run: Run, image_set: str) -> pd.Series:
    """The top negatives of all images of a set, as they are stored; the index has each one's row."""
    return run.top_negatives(image_set)


def known_images(run: Run, sets: Sets) -> pd.DataFrame | None:
    """The images of the ID set and, where there are some, of the OOD sets, without lists; None without an ID set."""
    return _together(run, (sets.id, *sets.ood)) if sets.id else None


@cached_by(lambda run, names: (names, run.state(scores=names)), max_entries=4, keep="itself")
def _together(run: Run, names: tuple[str, ...]) -> pd.DataFrame:
    """The images of these sets, of which the first shows the ID classes."""
    parts = [flat_scores(run, name).assign(is_id=name == names[0]) for name in names]
    return together(parts)


@dataclass(frozen=True)
class ScoredImages:
    """`table` has a row an image of the view's sets: the run's columns, of lists the first value alone, `image_set`,
    `outcome` and, of sets that are compared, `is_id`; of a set by itself `marked`, what a person said of it: "ID",
    "OOD" or "". `known` are the images that thresholds come from. Where something is searched for, the table has the
    `similarity` of each image to it. `is_within` says which images are looked at, where these are not all: the nearest
    to it, or those of a selection. `rows` has all that is known of some
    images."""

    table: pd.DataFrame
    sets: Sets
    score: Method
    offered: list[Method]
    at: Threshold
    known: pd.DataFrame | None
    is_within: pd.Series | None = None

    @classmethod
    def of(cls, run: Run, view: View) -> "ScoredImages":
        sets = choose_sets(run, view)
        known = known_images(run, sets)
        table = known
        if sets.alone or table is None:
            table = _with_marks(flat_scores(run, sets.alone), marked(run, sets.alone))
        there = offered(*(flat_scores(run, name) for name in {*sets.names, *((sets.id, *sets.ood) if sets.id else ())}))
        score = next((score for score in there if score.column == view.score), there[0])
        at = _threshold(view, table, sets, known, score.column)
        return cls(table.assign(outcome=outcomes(table, score.column, at.value)), sets, score, there, at, known)

    def nearest(self, similarity: pd.Series, most: int | None) -> "ScoredImages":
        """The same with what each image's similarity to something is, by address, and with the `most` similar looked at
        alone. An image without one is none of them."""
        found = similarity.reindex(by_address(self.table).index).set_axis(self.table.index)
        kept = found.rank(ascending=False, method="first") <= (most or len(found))
        return replace(self, table=self.table.assign(similarity=found)).only(kept)

    def only(self, kept: pd.Series) -> "ScoredImages":
        """The same with these images (B,) looked at alone, of those that are."""
        return replace(self, is_within=kept if self.is_within is None else self.is_within & kept)

    @property
    def looked_at(self) -> pd.DataFrame:
        """The images among which filters choose: all of them, or those searched for or selected."""
        return self.table if self.is_within is None else self.table[self.is_within]

    @property
    def is_alone(self) -> bool:
        """Whether the images are of one set by itself: then there is no truth, and no figure."""
        return bool(self.sets.alone)

    @property
    def threshold(self) -> float:
        return self.at.value

    def threshold_of(self, view: View, score: str) -> float:
        """The threshold of another score, by the same rule."""
        return _threshold(view, self.table, self.sets, self.known, score).value

    def rows(self, run: Run, places: Sequence[int] | np.ndarray | pd.Series | pd.Index) -> pd.DataFrame:
        """The images at these places of the table, with all that is known of them: their lists are read now."""
        found = self.table.iloc[np.asarray(places, dtype=np.int64)]
        if "row" not in found or found.empty:  # the table has them
            return found
        parts = []
        for name, part in found.groupby("image_set", observed=True):
            lists = run.score_lists(str(name), part["row"].tolist())
            parts.append(lists.set_index(part.index))
        return found.join(pd.concat(parts))

    def text(self, value: float) -> str:
        """A value of the score with as many decimals as tell its images apart."""
        return f"{value:.{self._decimals}f}"

    @cached_property
    def _decimals(self) -> int:
        return decimals(self.table[self.score.column])

    def filtered_outcome(self, view: View) -> str:
        """The outcome whose images alone are shown; a filter on those of the other kind of sets says nothing."""
        there = UNKNOWN_OUTCOMES if self.is_alone else OUTCOMES
        return view.outcome if view.outcome in {outcome.code for outcome in there} else ""

    @cached_property
    def taken_for(self) -> pd.Series:
        """The ID class that each image is taken for at the threshold, "" for none."""
        return sorting.taken_for(self.table, self.score.column, self.threshold)

    def _is_marked(self, how: str) -> pd.Series:
        said = self.table["marked"]
        if how == "wrong":
            accepted = self.table[self.score.column] >= self.threshold
            return (said != "") & ((said == "ID") != accepted)
        return (said != "") == (how == "yes")

    def shown(self, view: View) -> np.ndarray:
        """The places in the table of the images that pass the view's filters, in its order."""
        table, values = self.table, self.table[self.score.column]
        kept = np.ones(len(table), dtype=bool) if self.is_within is None else self.is_within.to_numpy().copy()
        if self.filtered_outcome(view):
            kept &= (table["outcome"] == view.outcome).to_numpy()
        if view.chosen_scores:
            kept &= values.between(*view.chosen_scores).to_numpy()
        if view.taken:
            kept &= (self.taken_for == view.taken).to_numpy()
        if view.shows:
            kept &= (table["class"] == view.shows).to_numpy(dtype=bool, na_value=False)
        if view.file:
            kept &= table["path"].str.contains(view.file, case=False, regex=False).to_numpy(dtype=bool)
        if view.marked and self.is_alone:
            kept &= self._is_marked(view.marked).to_numpy()
        places = np.flatnonzero(kept)
        return places[np.argsort(self._sort_key(view.sort).to_numpy()[places], kind="stable")]

    def _sort_key(self, sort: str) -> pd.Series:
        """A number an image, the lowest first."""
        table, values = self.table, self.table[self.score.column]
        margin = values - self.threshold
        if sort == "similar" and "similarity" in table:
            return -table["similarity"]
        if sort == "random":
            return pd.Series(pd.util.hash_array(table["path"].to_numpy(dtype=object)), index=table.index)
        if sort == "nearest":
            return margin.abs()
        if sort == "changed" and "csp" in table:
            return -(table["negrefine"].rank() - table["csp"].rank()).abs()
        if sort in ("wrong", "similar") and not self.is_alone:
            return margin.where(table["is_id"], -margin)  # how far on the right side of the threshold
        return values if sort == "lowest" else -values


def _with_marks(table: pd.DataFrame, known: dict[str, Mark]) -> pd.DataFrame:
    sides = {path: entry.side for path, entry in known.items()}
    return table.assign(marked=table["path"].map(sides).fillna("") if sides else "")


def _threshold(view: View, table: pd.DataFrame, sets: Sets, known: pd.DataFrame | None, score: str) -> Threshold:
    if not sets.alone:
        return Threshold(threshold(view, table, score), rule_words(view, score))
    return threshold_alone(view, table, score, known, sets.id)
