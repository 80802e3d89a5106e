"""The two sides of a comparison: which runs and scores they are, and their images joined."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st

import operating_point
from frame import known_runs
from negrefine_core.comparison import flips
from negrefine_core.errors import NegRefineError
from negrefine_core.overrides import judged_negatives
from negrefine_core.runs import Run
from operating_point import TPR95, YOUDEN
from scored_images import Sets, choose_sets, scores
from scores import SCORES, Score
from view import View

FIRST, SECOND = "first", "second"
BEFORE_OVERRIDES = "negrefine_judged"


@dataclass(frozen=True)
class Side:
    run: Run
    score: Score
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


def choose(run: Run, view: View) -> Sides:
    """The view's sides. With runs compared, the second side is the view's other run, or the first there is."""
    others = other_runs(run)
    second = run
    if view.compare == "runs" and others:
        second = Run.open(view.other if view.other in others else others[0])
    sets = _shared(run, second, view)
    offered = [offered_scores(each, sets) for each in (run, second)]
    picked = [
        next((score for score in each if score.column == column), each[0])
        for each, column in zip(offered, (view.first, view.second), strict=True)
    ]
    if second is not run:
        names = [f"{score.label} ({each.name})" for score, each in zip(picked, (run, second), strict=True)]
    else:
        names = [score.label for score in picked]
    first, other = (Side(*parts) for parts in zip((run, second), picked, names, strict=True))
    return Sides(first, other, sets if _scored(first, sets) and _scored(other, sets) else None)


def offered_scores(run: Run, sets: Sets | None) -> list[Score]:
    """The scores that the run's image sets hold, and those whose negatives can be compared."""
    columns = {BEFORE_OVERRIDES} if overridden(run) else set()
    if sets:
        tables = [set(scores(run, name).columns) for name in (sets.id, *sets.ood)]
        columns |= set.intersection(*tables)
    else:
        columns |= {"negrefine", "csp"}
        columns |= {"neglabel_baseline"} if run.path("neglabel_negatives.csv").exists() else set()
    return [score for score in SCORES if score.column in columns]


def overridden(run: Run) -> bool:
    """Whether overrides change the negatives."""
    state = run.state("overrides.jsonl", "negatives.csv", "verdicts.jsonl")
    return run.path("overrides.jsonl").exists() and _differs(run, state)


@st.cache_data(max_entries=16, show_spinner=False)
def _differs(_run: Run, state: tuple[Any, ...]) -> bool:
    del state
    return judged_negatives(_run) != _run.negatives


def _shared(first: Run, second: Run, view: View) -> Sets | None:
    """The view's image sets as far as both runs have scored them."""
    if len(first.scored_sets) < 2:
        return None
    sets, there = choose_sets(first, view), second.scored_sets
    ood = tuple(name for name in sets.ood if name in there)
    return replace(sets, ood=ood) if sets.id in there and ood else None


def _scored(side: Side, sets: Sets | None) -> bool:
    return sets is not None and all(side.score.column in scores(side.run, name) for name in (sets.id, *sets.ood))


@dataclass(frozen=True)
class Joined:
    """The images that both sides have scored: the first run's columns, `image_set`, `is_id`, the scores `first` and
    `second`, and `flip`; `thresholds` are each side's own, and `missing` counts the images of only one side."""

    table: pd.DataFrame
    thresholds: tuple[float, float]
    missing: int


def join(sides: Sides, sets: Sets, view: View) -> Joined:
    parts, missing = [], 0
    for name in (sets.id, *sets.ood):
        ours, theirs = (scores(side.run, name) for side in sides.both)
        other = pd.DataFrame({"path": theirs["path"], SECOND: theirs[sides.second.score.column]})
        both = ours.assign(**{FIRST: ours[sides.first.score.column]}).merge(other, on="path")
        missing += len(ours) + len(theirs) - 2 * len(both)
        parts.append(both.assign(image_set=name, is_id=name == sets.id))
    table = pd.concat(parts, ignore_index=True)
    if table["is_id"].nunique() < 2:
        return Joined(table.iloc[:0], (0.0, 0.0), missing)
    rule = view.threshold if view.threshold in (TPR95, YOUDEN) else TPR95
    at = [operating_point.threshold(table, side, rule) for side in (FIRST, SECOND)]
    inside = table["is_id"].to_numpy()
    right = [(table[side] >= t).to_numpy() == inside for side, t in zip((FIRST, SECOND), at, strict=True)]
    return Joined(table.assign(flip=flips(*right)), (at[0], at[1]), missing)
