"""What verdicts and overrides decide: final negatives = mined negatives - rejections + a person's decisions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from .judge import PUBLISHED
from .negfilter import clean_negatives
from .records import Mark, Negative, Override, Review, Verdict

Numbered = TypeVar("Numbered", Override, Review, Mark)

KEPT, DROPPED = "kept", "dropped"


def rejections_by(judge: str, verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    """The verdict of this judge that rejected each negative, by negative."""
    return {v.negative: v for v in verdicts if v.judge == judge and v.answer == "yes"}


def in_order(mined: Sequence[Negative], judge: str, verdicts: Iterable[Verdict]) -> list[Negative]:
    """The cleaned negatives in mined order, or in the log's order where it is a published one."""
    cleaned = clean_negatives(mined)
    if judge == PUBLISHED:
        place = {label: i for i, label in enumerate(dict.fromkeys(v.negative for v in verdicts))}
        cleaned.sort(key=lambda negative: place.get(negative.label, len(place)))
    return cleaned


def in_force(overrides: Sequence[Override]) -> dict[str, Override]:
    """The last override of each negative, without what was undone."""
    return {override.negative: override for override in not_undone(overrides)}


def not_undone(log: Sequence[Numbered]) -> list[Numbered]:
    """The lines of a numbered log, in their order, without what was undone and the undoing."""
    undone = {entry.undoes for entry in log}
    return [entry for entry in log if entry.undoes is None and entry.number not in undone]


def next_number(log: Sequence[Override] | Sequence[Review] | Sequence[Mark]) -> int:
    """The number of the line that comes after these."""
    return log[-1].number + 1 if log else 0


def decisions(
    negatives: Iterable[Negative], rejected: Mapping[str, Verdict], overrides: Sequence[Override]
) -> dict[str, str]:
    """What is decided on each negative, by label."""
    decided = {negative.label: DROPPED if negative.label in rejected else KEPT for negative in negatives}
    return decided | {label: entry.new for label, entry in in_force(overrides).items() if label in decided}


def kept(
    negatives: Sequence[Negative], rejected: Mapping[str, Verdict], overrides: Sequence[Override]
) -> list[Negative]:
    """What verdicts and overrides leave; a restored label is back in its place."""
    decided = decisions(negatives, rejected, overrides)
    return [negative for negative in negatives if decided[negative.label] == KEPT]
