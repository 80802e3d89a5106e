"""Blind reviews: each person's own decisions, how far two people agree, and what they agree on merged into the run."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import IO

import numpy as np

from .decisions import DROPPED, KEPT, in_force, next_number, not_undone
from .errors import NegRefineError
from .metrics import Figure, cohen_kappa, interval
from .overrides import DecidedMeanwhileError, override_or_confirm, read_decisions
from .records import Override, Review, now
from .runs import Run

MAX_NAME = 80  # characters
N_BOOTSTRAP = 1000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Agreement:
    """What two people decided alike on the `labels` that both decided on, and those on which they `differ`."""

    first: str
    second: str
    labels: tuple[str, ...]
    differ: tuple[str, ...]
    share: Figure
    kappa: Figure

    @property
    def alike(self) -> int:
        return len(self.labels) - len(self.differ)


def checked_name(who: str) -> str:
    """A name on one line, in any script. Raises NegRefineError for one that is empty or too long."""
    name = unicodedata.normalize("NFC", " ".join(_CONTROL.sub(" ", who).split()))
    if not name:
        raise NegRefineError("a review is somebody's own; say whose it is (in the app “Your name”, else --who)")
    if len(name) > MAX_NAME:
        raise NegRefineError(f"the name {name[:20]!r}… has {len(name)} characters; give one of at most {MAX_NAME}")
    return name


def decide(run: Run, who: str, wanted: Mapping[str, tuple[str, str]], seen: int | None = None) -> list[Review]:
    """Note what a person decides by label -> (decision, reason), all of it or nothing; the run stays as it is.

    What the person decided so already, for the same reason or now for none, is not written again. Raises NegRefineError
    for a label that is no negative of the run; and DecidedMeanwhileError where the person decided on one of the labels
    in a line from the number `seen` on.
    """
    who = checked_name(who)
    for decision, _ in wanted.values():
        if decision not in (KEPT, DROPPED):
            raise NegRefineError(f"a decision is '{KEPT}' or '{DROPPED}', not {decision!r}")
    with run.locked():
        known = {negative.label for negative in run.reviewable}
        if unknown := [label for label in wanted if label not in known]:
            raise NegRefineError(f"{unknown[0]!r} is no mined negative of the run {run.name!r}")
        _check_seen([entry for entry in own_log(run, who) if entry.negative in wanted], seen)
        before, until = decided_by(run, who), next_number(run.overrides)
        added = [
            Review(label, decision, reason, who, now(), until)
            for label, (decision, reason) in wanted.items()
            if label not in before or before[label].decision != decision or reason not in ("", before[label].reason)
        ]
        return run.append_reviews(added) if added else []


def undo(run: Run, who: str, label: str = "", seen: int | None = None) -> list[Review]:
    """Take back a person's last decision, or the one on a label: [the line that does it], or nothing to take back.

    Raises NegRefineError where only others decided on the label; and DecidedMeanwhileError where the person's log has
    a line from the number `seen` on.
    """
    who = checked_name(who)
    with run.locked():
        _check_seen(own_log(run, who), seen)
        everyone = [entry for entry in not_undone(run.reviews) if label in ("", entry.negative)]
        own = [entry for entry in everyone if entry.who == who]
        if label and everyone and not own:
            raise NegRefineError(f"{label!r} was decided by {everyone[-1].who}; only they take that back, not {who}")
        return run.append_reviews([replace(own[-1], time=now(), undoes=own[-1].number)]) if own else []


def _check_seen(own: Sequence[Review], seen: int | None) -> None:
    since = [entry for entry in own if seen is not None and entry.number >= seen]
    if since:
        last = since[-1]
        did = "took back what you decided on" if last.undoes is not None else "decided on"
        raise DecidedMeanwhileError(
            f"nothing is written: in another window you {did} {last.negative!r} ({last.time[:16].replace('T', ' ')} "
            f"UTC): {last.decision}",
            as_overrides(since),
        )


def own_log(run: Run, who: str) -> list[Review]:
    """The lines of one person, with what was undone and the undoing."""
    name = checked_name(who)
    return [entry for entry in run.reviews if entry.who == name]


def as_overrides(log: Iterable[Review]) -> list[Override]:
    """One person's lines as if the run followed them: what shows overrides shows a review."""
    return [Override(r.negative, "", r.decision, r.reason, r.who, r.time, r.undoes, r.number) for r in log]


def by_person(run: Run) -> dict[str, dict[str, Review]]:
    """Each person's decisions in force, by name and label; names in the order in which they began."""
    found: dict[str, dict[str, Review]] = {}
    for entry in not_undone(run.reviews):
        found.setdefault(entry.who, {})[entry.negative] = entry
    return found


def decided_by(run: Run, who: str) -> dict[str, Review]:
    """One person's decisions in force, by label."""
    return by_person(run).get(who, {})


def agreements(run: Run) -> list[Agreement]:
    """Of each two people who decided on a label in common."""
    found = [agreement(run, first, second) for first, second in combinations(by_person(run), 2)]
    return [each for each in found if each.labels]


def agreement(run: Run, first: str, second: str, seed: int = 0) -> Agreement:
    """How far two people agree on the labels that both decided on, in the run's order, with bootstrap intervals over
    the labels: resamples in which kappa is undefined are left out of its interval."""
    one, other = decided_by(run, first), decided_by(run, second)
    labels = [negative.label for negative in run.reviewable if negative.label in one and negative.label in other]
    a = np.array([one[label].decision == DROPPED for label in labels], dtype=bool)  # (n,)
    b = np.array([other[label].decision == DROPPED for label in labels], dtype=bool)
    differ = tuple(label for label, is_alike in zip(labels, a == b, strict=True) if not is_alike)
    if not labels:
        nothing = Figure(None, why=f"{first} and {second} have decided on no label in common yet")
        return Agreement(first, second, (), (), nothing, nothing)
    drawn = np.random.default_rng(seed).integers(len(labels), size=(N_BOOTSTRAP, len(labels)))  # (draws, n)
    share = Figure(float((a == b).mean()), interval((a == b)[drawn].mean(axis=-1)))
    return Agreement(first, second, tuple(labels), differ, share, _kappa(first, second, a, b, drawn))


def _kappa(first: str, second: str, a: np.ndarray, b: np.ndarray, drawn: np.ndarray) -> Figure:
    single = [(who, said) for who, said in ((first, a), (second, b)) if said.all() or not said.any()]
    if single:
        who, said = single[0]
        answer = DROPPED if said.all() else KEPT
        return Figure(
            None, why=f"{who} {answer} every label that both decided on, so there is no agreement beyond chance"
        )
    draws = cohen_kappa(a[drawn], b[drawn])
    return Figure(float(cohen_kappa(a, b)), interval(draws[~np.isnan(draws)]))


def open_labels(run: Run) -> dict[str, list[Review]]:
    """Everyone's decisions on each label that two or more people decided on, in the run's order; without those that
    were merged or settled since."""
    followed, everyone = in_force(run.overrides), by_person(run)
    found: dict[str, list[Review]] = {}
    if len(everyone) < 2:
        return found
    for label in (negative.label for negative in run.reviewable):
        said = [own[label] for own in everyone.values() if label in own]
        last = followed.get(label)
        if len(said) > 1 and (last is None or last.number < max(entry.until for entry in said)):
            found[label] = said
    return found


def agreed(run: Run) -> dict[str, list[Review]]:
    """Of the open labels those on which all who decided agree, which `merge` writes."""
    return {label: said for label, said in open_labels(run).items() if len({entry.decision for entry in said}) == 1}


def disagreements(run: Run) -> dict[str, list[Review]]:
    """Of the open labels those on which people disagree, until somebody settles them by a decision on the run."""
    return {label: said for label, said in open_labels(run).items() if len({entry.decision for entry in said}) > 1}


def merge(run: Run, seen: int | None = None) -> list[Override]:
    """Write what people agree on into the run, under all their names and with their reasons: all of it or nothing.

    Merged again, it adds nothing; what was cut short is brought to its end. Raises NegRefineError where fewer than two
    people have reviewed, and where it is no longer as many labels as were `seen`.
    """
    with run.locked():
        people = list(by_person(run))
        if len(people) < 2:
            alone = f"only {people[0]} has reviewed this run blind" if people else "nobody has reviewed this run blind"
            raise NegRefineError(f"{alone}; merging takes two people's decisions on the same labels")
        wanted = {
            label: (said[0].decision, _reasons(said), ", ".join(entry.who for entry in said))
            for label, said in agreed(run).items()
        }
        if seen is not None and len(wanted) != seen:
            raise NegRefineError(f"nothing is merged: meanwhile people agree on {len(wanted):,} labels, not {seen:,}")
        return override_or_confirm(run, wanted)


def _reasons(said: Sequence[Review]) -> str:
    return "; ".join(f"{entry.who}: {entry.reason}" for entry in said if entry.reason)


def settle(run: Run, labels: Iterable[str], decision: str, who: str, reason: str = "") -> list[Override]:
    """Confirm a decision that stands already on labels on which people disagree still; others are left as they are.

    One that changes what is decided settles them by itself.
    """
    with run.locked():
        still = disagreements(run)
        wanted = {label: (decision, reason, who) for label in labels if label in still}
        return override_or_confirm(run, wanted) if wanted else []


def import_csv(
    run: Run, file: str | Path | IO[bytes], who: str, name: str | None = None
) -> tuple[list[Review], list[str]]:
    """Take a CSV file's decisions (`overrides.read_decisions`) for a person's own: (lines, labels not in the run).

    All of the file is taken or nothing. Raises NegRefineError where a row is said to be another's.
    """
    who, wanted = checked_name(who), read_decisions(file, name)
    others = [by for _, _, by in wanted.values() if by and checked_name(by) != who]
    if others:
        raise NegRefineError(f"{name or file} holds a decision of {others[0][:80]!r}; {who} reviews for themselves")
    with run.locked():
        known = {negative.label for negative in run.reviewable}
        own = {label: (to, reason) for label, (to, reason, _) in wanted.items() if label in known}
        return decide(run, who, own), [label for label in wanted if label not in known]
