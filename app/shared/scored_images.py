"""The scored images of a view: ID and OOD sets joined, judged at the threshold, filtered and sorted."""

from dataclasses import dataclass

import pandas as pd

from negrefine_core.errors import NegRefineError, UnfinishedError
from negrefine_core.methods import Method, offered
from negrefine_core.operating_point import outcomes
from negrefine_core.runs import Run
from negrefine_core.show.charts import decimals

from .cached import cached_by
from .operating_point import threshold
from .view import View


@dataclass(frozen=True)
class Sets:
    """Which of the run's image sets are ID, which may be OOD, and which OOD sets are chosen."""

    id: str
    others: tuple[str, ...]
    ood: tuple[str, ...]


def choose_sets(run: Run, view: View) -> Sets:
    """The view's sets where the run has them, else the run's own.

    Raises UnknownIdSetError where neither says which set is ID, UnfinishedError where fewer than two sets
    are scored, and NegRefineError where a set of either kind lacks.
    """
    scored = run.scored_sets
    if len(scored) < 2:
        raise UnfinishedError(
            f"The run {run.name!r} has scores of {len(scored)} image sets, and comparing takes an ID set and an OOD "
            "set. Score pictures on the page Score."
        )
    chosen = run.known_id_set(view.id if view.id in scored else "")
    others = tuple(name for name in scored if name != chosen)
    wanted = [name for name in view.ood if name in others] or [name for name in others if name not in run.id_sets]
    if not wanted and not view.id:
        raise NegRefineError(
            f"All scored image sets of the run {run.name!r} show its ID classes. Score pictures of something else "
            "on the page Score."
        )
    return Sets(chosen, others, tuple(wanted) or others)


@cached_by(lambda run, image_set: run.state(scores=[image_set]), max_entries=64, keep="itself")
def scores(run: Run, image_set: str) -> pd.DataFrame:
    """An image set's scores, shared and never changed; read again when the file is another."""
    return run.scores(image_set)


@dataclass(frozen=True)
class ScoredImages:
    """`table` has a row an image of the view's sets: the run's columns, `image_set`, `is_id` and `outcome`."""

    table: pd.DataFrame
    sets: Sets
    score: Method
    offered: list[Method]
    threshold: float

    @classmethod
    def of(cls, run: Run, view: View) -> "ScoredImages":
        sets = choose_sets(run, view)
        names = (sets.id, *sets.ood)
        parts = [scores(run, name).assign(image_set=name, is_id=name == sets.id) for name in names]
        table = pd.concat(parts, ignore_index=True)
        there = offered(*parts)
        score = next((score for score in there if score.column == view.score), there[0])
        at = threshold(view, table, score.column)
        table["outcome"] = outcomes(table, score.column, at)
        return cls(table, sets, score, there, at)

    def text(self, value: float) -> str:
        """A value of the score with as many decimals as tell its images apart."""
        return f"{value:.{decimals(self.table[self.score.column])}f}"

    def shown(self, view: View) -> pd.DataFrame:
        """The images that pass the view's filters, in its order."""
        table, values = self.table, self.table[self.score.column]
        kept = pd.Series(True, index=table.index)
        if view.outcome:
            kept &= table["outcome"] == view.outcome
        if view.chosen_scores:
            kept &= values.between(*view.chosen_scores)
        return table.loc[self._sort_key(view.sort)[kept].sort_values(kind="stable").index]

    def _sort_key(self, sort: str) -> pd.Series:
        """A number an image, the lowest first."""
        table, values = self.table, self.table[self.score.column]
        margin = values - self.threshold
        if sort == "nearest":
            return margin.abs()
        if sort == "highest":
            return -values
        if sort == "changed" and "csp" in table:
            return -(table["negrefine"].rank() - table["csp"].rank()).abs()
        if sort == "wrong":
            return margin.where(table["is_id"], -margin)  # how far on the right side of the threshold
        return values
