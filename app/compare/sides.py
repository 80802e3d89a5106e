"""The two sides of a comparison: which runs, scores or judges they are, and their images joined."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from negrefine_core.comparison import crossings, flips
from negrefine_core.errors import NegRefineError
from negrefine_core.judges.decided import Decided
from negrefine_core.methods import JUDGED, Method, offered
from negrefine_core.operating_point import outcomes
from negrefine_core.runs import Role, Run
from negrefine_core.show import charts

from ..shared.frame import known_runs
from ..shared.operating_point import Threshold, rule_words, threshold, threshold_alone
from ..shared.outdated import overridden
from ..shared.scored_images import Sets, choose_sets, known_images, scores, sets_by_themselves
from .view import CompareView

FIRST, SECOND = "first", "second"


@dataclass(frozen=True)
class Judged:
    """A judge in place of the run's own: what it decides, the run whose log says so, and what tells both from before.
    `scores` (B,) are those of each scored set's images, once they are worked out; NaN where one has no feature."""

    decided: Decided
    log: Run
    state: tuple[Any, ...]
    scores: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Side:
    """A score of the run's images, as it is stored or, where a judge is compared, as it is with its negatives."""

    run: Run
    score: Method
    name: str
    judged: Judged | None = None

    @property
    def log(self) -> Run:
        """The run whose verdicts say why a label is not among the negatives."""
        return self.judged.log if self.judged else self.run

    def state(self, *files: str, scores: tuple[str, ...] = ()) -> tuple[Any, ...]:
        """A key for what is worked out from the side's files and the scores of these image sets."""
        return self.run.state(*files, scores=scores), self.score.column, self.judged and self.judged.state

    def scored(self, table: pd.DataFrame, *image_sets: str) -> pd.DataFrame:
        """A table of all images of these sets, one after the other, with the side's score in its column."""
        if self.judged is None or self.judged.scores is None:
            return table
        values = np.concatenate([self.judged.scores[name] for name in image_sets])  # (B,)
        return table.assign(**{self.score.column: values})


@dataclass(frozen=True)
class Sides:
    """`sets` is None where the two have no scored images in common."""

    first: Side
    second: Side
    sets: Sets | None

    @property
    def both(self) -> tuple[Side, Side]:
        return self.first, self.second


def other_runs(run: Run) -> list[str]:
    """The names of the other runs, without damaged ones."""
    return [name for name in known_runs() if name != run.name and _opens(name)]


def _opens(name: str) -> bool:
    try:
        Run.open(name)
    except NegRefineError:
        return False
    return True


def choose(run: Run, view: CompareView) -> Sides:
    """The view's sides: CSP and NegRefine until others are chosen. With runs compared, the first side is another run,
    if the view names none the one whose classes were edited to make this one, and both sides have the same score."""
    others = other_runs(run)
    before = run
    if view.compare == "runs" and others:
        parent = run.info.edited_from
        before = Run.open(next(name for name in (view.other, parent, others[0]) if name in others))
    sets = _shared(run, before, view)
    second = _picked(offered_scores(run, sets), view.second)
    first = _picked(offered_scores(before, sets), view.first, "csp" if before is run else second.column)
    names = [first.name, second.name]
    if before is not run:
        names = [f"{first.name} ({before.name})", f"{second.name} ({run.name})"]
    sides = Sides(Side(before, first, names[0]), Side(run, second, names[1]), sets)
    return sides if all(_scored(side, sets) for side in sides.both) else replace(sides, sets=None)


def _picked(there: list[Method], *columns: str) -> Method:
    """The score of the first of these columns that is on offer, else the first score there is."""
    found = {score.column: score for score in there}
    return next((found[column] for column in columns if column in found), there[0])


def offered_scores(run: Run, sets: Sets | None) -> list[Method]:
    """The scores that the run's image sets hold, and those whose negatives can be compared."""
    held: set[str] = {JUDGED} if overridden(run) else set()
    if sets:
        held |= {score.column for score in offered(*(scores(run, name) for name in sets.names))}
    else:
        held |= {"negrefine", "csp"}
        held |= {"neglabel_baseline"} if run.path("neglabel_negatives.csv").exists() else set()
    return offered(held)


def _shared(first: Run, second: Run, view: CompareView) -> Sets | None:
    """The view's image sets as far as both runs have scored them: compared where both say the same of what they show,
    else one by itself."""
    if first is second:
        return choose_sets(first, view) if first.scored_sets else None
    inside, outside = (agreed(first, second, role) for role in ("ID", "OOD"))
    by_themselves = shared_by_themselves(first, second)
    if view.alone in by_themselves or (by_themselves and not (inside and outside)):
        alone = view.alone if view.alone in by_themselves else by_themselves[0]
        return Sets("", (), (), alone)
    if not inside or not outside:
        return None
    ood = tuple(name for name in view.ood if name in outside) or tuple(outside)
    return Sets(next(n for n in (view.id, second.id_set, inside[0]) if n in inside), tuple(outside), ood)


def agreed(first: Run, second: Run, role: Role) -> list[str]:
    """The image sets that both runs have scored and give this role."""
    theirs = first.sets_showing(role)
    return [name for name in second.sets_showing(role) if name in theirs]


def shared_by_themselves(first: Run, second: Run) -> list[str]:
    """The image sets of both runs that have no role they agree on, or nothing to be compared with."""
    if first is second:
        return sets_by_themselves(second) if second.scored_sets else []
    known = [*agreed(first, second, "ID"), *agreed(first, second, "OOD")]
    there = [name for name in second.scored_sets if name in first.scored_sets]
    return [name for name in there if name not in known] or ([] if is_compared(first, second) else there)


def is_compared(first: Run, second: Run) -> bool:
    """Whether both runs have an ID and an OOD set in common."""
    return bool(agreed(first, second, "ID") and agreed(first, second, "OOD"))


def _scored(side: Side, sets: Sets | None) -> bool:
    return sets is not None and all(side.score.column in scores(side.run, name) for name in sets.names)


@dataclass(frozen=True)
class Joined:
    """The images that both sides have scored: the second run's columns, `image_set`, the scores `first` and `second`,
    `flip` and, of sets that are compared, `is_id`; `at` are each side's own thresholds, and `missing` counts the images
    that one side has no score of, or both."""

    table: pd.DataFrame
    at: tuple[Threshold, Threshold]
    missing: int

    @property
    def thresholds(self) -> tuple[float, float]:
        return self.at[0].value, self.at[1].value

    @property
    def decimals(self) -> tuple[int, int]:
        """As many decimals of each side's score as tell its images apart."""
        return charts.decimals(self.table[FIRST]), charts.decimals(self.table[SECOND])


def join(sides: Sides, sets: Sets, view: CompareView) -> Joined:
    parts, missing = [], 0
    for name in sets.names:
        theirs, ours = (side.scored(scores(side.run, name), name) for side in sides.both)
        other = pd.DataFrame({"path": theirs["path"], FIRST: theirs[sides.first.score.column]})
        there = ours.assign(**{SECOND: ours[sides.second.score.column]}).merge(other, on="path")
        both = there.dropna(subset=[FIRST, SECOND])
        missing += len(ours) + len(theirs) - len(there) - len(both)
        both = both.assign(image_set=name)
        parts.append(both if sets.alone else both.assign(is_id=name == sets.id))
    table = pd.concat(parts, ignore_index=True)
    if table.empty or (not sets.alone and table["is_id"].nunique() < 2):
        return Joined(table.iloc[:0], (NOWHERE, NOWHERE), missing)
    first, second = (
        _threshold(view, table, side, sets, column) for side, column in zip(sides.both, (FIRST, SECOND), strict=True)
    )
    accepted = [(table[column] >= at.value).to_numpy() for column, at in ((FIRST, first), (SECOND, second))]
    if sets.alone:
        table = table.assign(outcome=outcomes(table, SECOND, second.value), flip=crossings(*accepted))
        return Joined(table, (first, second), missing)
    inside = table["is_id"].to_numpy()
    return Joined(table.assign(flip=flips(*(each == inside for each in accepted))), (first, second), missing)


NOWHERE = Threshold(0.0, "")


def _threshold(view: CompareView, table: pd.DataFrame, side: Side, sets: Sets, column: str) -> Threshold:
    """A side's own; of a set by itself it is carried over from the ID set of the side's own run."""
    score = side.score.column
    if not sets.alone:
        return Threshold(threshold(view, table, score, column), rule_words(view, score))
    own = choose_sets(side.run, replace(view, alone=""))
    known = known_images(side.run, own)
    if known is not None:
        known = side.scored(known, own.id, *own.ood).dropna(subset=[score]) if score in known else None
    return threshold_alone(view, table, score, known, own.id, column)
