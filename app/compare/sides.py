"""The two sides of a comparison: which runs and scores they are, and their images joined."""

from dataclasses import dataclass, replace

import pandas as pd

from negrefine_core.comparison import flips
from negrefine_core.errors import NegRefineError
from negrefine_core.methods import JUDGED, Method, offered
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..shared.frame import known_runs
from ..shared.operating_point import threshold
from ..shared.outdated import overridden
from ..shared.scored_images import Sets, choose_sets, is_comparable, scores
from .view import CompareView

FIRST, SECOND = "first", "second"


@dataclass(frozen=True)
class Side:
    run: Run
    score: Method
    name: str


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
        held |= {score.column for score in offered(*(scores(run, name) for name in (sets.id, *sets.ood)))}
    else:
        held |= {"negrefine", "csp"}
        held |= {"neglabel_baseline"} if run.path("neglabel_negatives.csv").exists() else set()
    return offered(held)


def _shared(first: Run, second: Run, view: CompareView) -> Sets | None:
    """The view's image sets as far as both runs have scored them."""
    if not is_comparable(first):
        return None
    sets, there = choose_sets(first, replace(view, alone="")), second.scored_sets
    ood = tuple(name for name in sets.ood if name in there)
    return replace(sets, ood=ood) if sets.id in there and ood else None


def _scored(side: Side, sets: Sets | None) -> bool:
    return sets is not None and all(side.score.column in scores(side.run, name) for name in (sets.id, *sets.ood))


@dataclass(frozen=True)
class Joined:
    """The images that both sides have scored: the second run's columns, `image_set`, `is_id`, the scores `first` and
    `second`, and `flip`; `thresholds` are each side's own, and `missing` counts the images of only one side."""

    table: pd.DataFrame
    thresholds: tuple[float, float]
    missing: int

    @property
    def decimals(self) -> tuple[int, int]:
        """As many decimals of each side's score as tell its images apart."""
        return charts.decimals(self.table[FIRST]), charts.decimals(self.table[SECOND])


def join(sides: Sides, sets: Sets, view: CompareView) -> Joined:
    parts, missing = [], 0
    for name in (sets.id, *sets.ood):
        theirs, ours = (scores(side.run, name) for side in sides.both)
        other = pd.DataFrame({"path": theirs["path"], FIRST: theirs[sides.first.score.column]})
        both = ours.assign(**{SECOND: ours[sides.second.score.column]}).merge(other, on="path")
        missing += len(ours) + len(theirs) - 2 * len(both)
        parts.append(both.assign(image_set=name, is_id=name == sets.id))
    table = pd.concat(parts, ignore_index=True)
    if table["is_id"].nunique() < 2:
        return Joined(table.iloc[:0], (0.0, 0.0), missing)
    names = zip(sides.both, (FIRST, SECOND), strict=True)
    at = [threshold(view, table, side.score.column, column) for side, column in names]
    inside = table["is_id"].to_numpy()
    right = [(table[side] >= t).to_numpy() == inside for side, t in zip((FIRST, SECOND), at, strict=True)]
    return Joined(table.assign(flip=flips(*right)), (at[0], at[1]), missing)
