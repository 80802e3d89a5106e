"""A person's decisions on top of the judge's: final negatives = verdicts + overrides, always recomputed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

from .decisions import DROPPED as DROPPED
from .decisions import KEPT as KEPT
from .decisions import decisions, kept, next_number
from .decisions import in_force as in_force
from .decisions import not_undone as not_undone
from .errors import NegRefineError, UnfinishedError
from .methods import Negatives
from .paths import write_atomically
from .records import Negative, Override, now
from .run_files.info import ScoredWith
from .runs import Run, class_list_hash

EXPORTED = ["negative", "decision", "reason", "who", "time"]


@dataclass(frozen=True)
class Seen:
    """What a person had on screen: the log's lines before the number `until`, and what was decided on each label."""

    until: int
    decisions: Mapping[str, str]

    @classmethod
    def of(cls, table: pd.DataFrame, overrides: Sequence[Override]) -> "Seen":
        """What the rows of a review table say, which these overrides went into."""
        return cls(next_number(overrides), dict(zip(table["label"], table["decision"], strict=True)))


class DecidedMeanwhileError(NegRefineError):
    """What is decided is no longer what the person saw, so nothing is written; `lines` of the log did that."""

    def __init__(self, message: str, lines: Sequence[Override]) -> None:
        super().__init__(message)
        self.lines = lines


def verdict_state(run: Run) -> tuple[str, tuple[Any, ...]]:
    """Whose verdicts decide, and what tells what they were asked and said from before: a key for what followed."""
    return run.judge, run.state("initial_negatives.csv", "verdicts.jsonl")


def changes(overrides: Sequence[Override]) -> list[Override]:
    """Those in force that decided otherwise than it was decided before, without mere confirmations."""
    return [override for override in in_force(overrides).values() if override.old != override.new]


def review_table(run: Run) -> pd.DataFrame:
    """One row a negative: the columns of `verdict_table` and of `decided`."""
    return decided(verdict_table(run), run.overrides)


def verdict_table(run: Run) -> pd.DataFrame:
    """One row a negative: `label`, `pos`, `similarity`, the judge's `verdict` with its `kind` and `id_label`."""
    rejected = run.rejections
    rows = []
    for negative in run.reviewable:
        verdict = rejected.get(negative.label)
        rows.append(
            {
                "label": negative.label,
                "pos": negative.pos,
                "similarity": negative.similarity,
                "verdict": DROPPED if verdict else KEPT,
                "kind": verdict.kind if verdict else "",
                "id_label": (verdict and verdict.id_label) or "",
            }
        )
    return pd.DataFrame(rows)


def decided(table: pd.DataFrame, overrides: Sequence[Override]) -> pd.DataFrame:
    """A verdict table with the `decision` in force, whether a person `reviewed` the label, whether the decision is
    `overridden` (otherwise than the verdict), and the person's `reason`, `who` and `time`."""
    last = in_force(overrides)
    reviewed = table["label"].isin(last.keys())
    entries = [last[label] for label in table["label"][reviewed]]  # few of many
    table = table.assign(decision=table["verdict"], reviewed=reviewed, reason="", who="", time="")
    if entries:
        table.loc[reviewed, "decision"] = [entry.new for entry in entries]
        for name in ("reason", "who", "time"):
            table.loc[reviewed, name] = [getattr(entry, name) for entry in entries]
    return table.assign(overridden=table["decision"] != table["verdict"])


def final_negatives(run: Run) -> list[Negative]:
    """What verdicts and overrides leave; a restored label is back in its place."""
    return kept(run.reviewable, run.rejections, run.overrides)


def write_final_negatives(run: Run) -> None:
    """Work out `negatives.csv` anew, and draw the permutation of its scoring groups."""
    from . import scoring  # here, since torch takes seconds to import

    with run.locked():
        negatives = final_negatives(run)
        permutation = scoring.group_permutation(len(negatives), run.settings.n_groups)
        run.write_negatives(negatives, permutation.tolist())


def judged_negatives(run: Run) -> list[Negative]:
    """What the verdicts alone leave, as if there were no overrides."""
    rejected = run.rejections
    return [negative for negative in run.reviewable if negative.label not in rejected]


def negatives_of(run: Run, kind: Negatives) -> list[Negative]:
    """The negatives of a kind that a method compares with."""
    match kind:
        case "none":
            return []
        case "mined":
            return run.initial_negatives
        case "neglabel":
            return run.neglabel_negatives
        case "judged":
            return judged_negatives(run)
        case "refined":
            return run.negatives


def outdated_scores(run: Run) -> dict[str, int]:
    """The image sets whose scores are of other negatives than the run has now, and how many decisions changed since.

    Scores without a record of their negatives are taken to be of the verdicts alone.
    """
    log = run.overrides
    records = {image_set: run.scored_with(image_set) for image_set in run.scored_sets}
    if not log and not any(records.values()):
        return {}
    verdicts = dict.fromkeys(run.rejections, DROPPED)
    current = class_list_hash(negative.label for negative in run.negatives)
    now = verdicts | {o.negative: o.new for o in in_force(log).values()}
    outdated = {}
    for image_set, known in records.items():
        record = known or ScoredWith(negatives="", overrides=0)
        before = [entry for entry in log if entry.number < record.overrides]
        then = verdicts | {o.negative: o.new for o in in_force(before).values()}
        changes = sum(then.get(label, KEPT) != now.get(label, KEPT) for label in then.keys() | now.keys())
        if record.negatives != current and (changes or record.negatives):
            outdated[image_set] = changes
    return outdated


def select(
    table: pd.DataFrame, kind: str = "", id_label: str = "", match: str = "", decision: str = ""
) -> pd.DataFrame:
    """The rows of a review table of one kind, one ID class, with a text in the label, of one decision; all given hold.

    The kind is "proper noun", "subcategory", "same" or "kept".
    """
    chosen = pd.Series(True, index=table.index)
    if kind:
        chosen &= table["kind"] == ("" if kind == KEPT else kind)
    if id_label:
        chosen &= table["id_label"] == id_label
    if match:
        chosen &= table["label"].str.contains(re.escape(match), case=False)
    if decision:
        chosen &= table["decision"] == decision
    return table[chosen]


def override(
    run: Run, labels: Iterable[str], decision: str, who: str, reason: str = "", seen: Seen | None = None
) -> list[Override]:
    """Decide on negatives, and recompute `negatives.csv`; those decided so already are left as they are.

    Raises NegRefineError for a label that is no negative of the run, or when no negative would be left; and
    DecidedMeanwhileError where what is decided on one of them is no longer what was `seen`.
    """
    labels = list(labels)
    with run.locked():
        _check_seen(run, labels, seen)
        return _override(run, dict.fromkeys(labels, (decision, reason, who)))


def override_or_confirm(run: Run, wanted: Mapping[str, tuple[str, str, str]]) -> list[Override]:
    """Decide by label -> (decision, reason, who), all of them or none: a line each, whatever was decided before.

    Raises NegRefineError as `override` does.
    """
    with run.locked():
        return _override(run, wanted, confirming=True)


def _override(run: Run, wanted: Mapping[str, tuple[str, str, str]], confirming: bool = False) -> list[Override]:
    """Override by label -> (decision, reason, who), all of them or none, while the run is held; where that is
    `confirming`, a line is written of what is decided so already, too."""
    wrong = [decision for decision, _, _ in wanted.values() if decision not in (KEPT, DROPPED)]
    if wrong:
        raise NegRefineError(f"a decision is '{KEPT}' or '{DROPPED}', not {wrong[0]!r}")
    current = _decisions(run, wanted)
    added = [
        Override(label, current[label], decision, reason, who, now())
        for label, (decision, reason, who) in wanted.items()
        if confirming or current[label] != decision
    ]
    if KEPT not in (current | {entry.negative: entry.new for entry in added}).values():
        raise NegRefineError("that would drop every negative; keep at least one to score with")
    return _record(run, added)


def decide(run: Run, label: str, decision: str, who: str, reason: str = "", seen: Seen | None = None) -> list[Override]:
    """Override what is decided on a negative, or confirm it where it is decided so already."""
    with run.locked():
        return override(run, [label], decision, who, reason, seen) or confirm(run, [label], who, reason)


def confirm(run: Run, labels: Iterable[str], who: str, reason: str = "", seen: Seen | None = None) -> list[Override]:
    """Note that a person agrees with what is decided on these negatives: a line whose `old` and `new` are equal.

    Labels reviewed before are left as they are, unless there is a new reason; `negatives.csv` does not change.
    Raises DecidedMeanwhileError where what is decided on one of them is no longer what was `seen`.
    """
    labels = list(dict.fromkeys(labels))
    with run.locked():
        _check_seen(run, labels, seen)
        current, reviewed = _decisions(run, labels), in_force(run.overrides)
        added = [
            Override(label, current[label], current[label], reason, who, now())
            for label in labels
            if label not in reviewed or reason not in ("", reviewed[label].reason)
        ]
        return _record(run, added)


def _decisions(run: Run, labels: Iterable[str]) -> dict[str, str]:
    """What is decided on every negative, by label. Raises NegRefineError where one of these labels is none."""
    current = decisions(run.reviewable, run.rejections, run.overrides)
    unknown = [label for label in labels if label not in current]
    if unknown:
        raise NegRefineError(f"{unknown[0]!r} is no mined negative of the run {run.name!r}; see initial_negatives.csv")
    return current


def undo(run: Run, who: str, count: int = 1, until: int | None = None) -> list[Override]:
    """Undo the last `count` overrides and confirmations that are not undone yet, by appending their inverses.

    Raises DecidedMeanwhileError where the log has more than the lines before the number `until`, which were seen.
    """
    with run.locked():
        if until is not None and (since := [entry for entry in run.overrides if entry.number >= until]):
            raise DecidedMeanwhileError(f"nothing is taken back: meanwhile {_told(since[-1])}", since)
        last = not_undone(run.overrides)[-count:][::-1] if count > 0 else []
        added = [Override(o.negative, o.new, o.old, "undo", who, now(), undoes=o.number) for o in last]
        return _record(run, added)


def _check_seen(run: Run, labels: Sequence[str], seen: Seen | None) -> None:
    """Raise where one of these labels is not decided as a person saw it, while the run is held."""
    if seen is None:
        return
    log, current = run.overrides, _decisions(run, labels)
    then, now = in_force([entry for entry in log if entry.number < seen.until]), in_force(log)
    changed = [name for name in labels if now.get(name) != then.get(name) or current[name] != seen.decisions.get(name)]
    if not changed:
        return
    since = {entry.negative: entry for entry in log if entry.number >= seen.until}
    lines = [since[name] for name in changed if name in since]
    first = _told(lines[0]) if lines else f"the judge was asked anew, and {changed[0]!r} is now {current[changed[0]]}"
    many = f" ({len(changed):,} of these {len(labels):,} labels are decided anew)" if len(labels) > 1 else ""
    raise DecidedMeanwhileError(f"nothing is written: meanwhile {first}{many}", lines)


def _told(entry: Override) -> str:
    """Who did what, and when."""
    when = f"{entry.time[:16].replace('T', ' ')} UTC"
    if entry.undoes is not None:
        return f"{entry.who} took back the decision on {entry.negative!r} ({when}), which is {entry.new} as before"
    reason = f": {entry.reason!r}" if entry.reason else ""
    return f"{entry.who} decided that {entry.negative!r} is {entry.new} ({when}){reason}"


def _record(run: Run, added: Sequence[Override]) -> list[Override]:
    """Log decisions while the run is held, and bring `negatives.csv` to what they say.

    Raises UnfinishedError, and logs nothing, where the judge has not answered every question.
    """
    if not run.is_refined:
        raise UnfinishedError(
            f"the run {run.name!r} is not refined to its end; do the step 'refine' before you decide on its negatives"
        )
    written = run.append_overrides(added) if added else []
    if not added or any(entry.old != entry.new for entry in added):  # none: what was cut short is brought to its end
        write_final_negatives(run)
    return written


def export_csv(run: Run, path: str | Path) -> int:
    """Write the overrides and confirmations in force as CSV; returns how many."""
    text, count = export_text(run)
    write_atomically(Path(path), text)
    return count


def export_text(run: Run) -> tuple[str, int]:
    """(CSV, how many rows) of the overrides and confirmations in force."""
    rows = [(o.negative, o.new, o.reason, o.who, o.time) for o in in_force(run.overrides).values()]
    return pd.DataFrame(rows, columns=EXPORTED).to_csv(index=False), len(rows)


def import_csv(
    run: Run, file: str | Path | IO[bytes], who: str, name: str | None = None
) -> tuple[list[Override], list[str]]:
    """Apply a CSV with the columns `negative`, `decision` and perhaps `reason` and `who`: (overrides, labels not in
    the run).

    A decision that is in force already counts as a confirmation. Where the file does not say whose a decision is, it is
    `who`'s. `name` is the file's name for messages. All of the file is applied or nothing.

    Raises NegRefineError for a file that is no such CSV, or that decides twice on one label.
    """
    wanted = read_decisions(file, name)
    with run.locked():
        known = {negative.label for negative in run.reviewable}
        chosen = {label: (to, reason, by or who) for label, (to, reason, by) in wanted.items() if label in known}
        added = _override(run, chosen)
        alike: dict[tuple[str, str], list[str]] = {}
        for label, (_, reason, person) in chosen.items():
            alike.setdefault((person, reason), []).append(label)
        for (person, reason), labels in alike.items():
            added += confirm(run, labels, person, reason)
    return added, [label for label in wanted if label not in known]


def read_decisions(file: str | Path | IO[bytes], name: str | None = None) -> dict[str, tuple[str, str, str]]:
    """label -> (decision, reason, who) of a CSV with the columns `negative`, `decision` and perhaps `reason` and `who`,
    which are empty where the file does not say them.

    Raises NegRefineError for a file that is no such CSV, or that decides twice on one label.
    """
    name = name or str(file)
    try:
        table = pd.read_csv(file, keep_default_na=False, dtype=str, encoding_errors="strict")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise NegRefineError(f"cannot read {name} ({reason}); give a CSV file as the export writes it") from error
    if not {"negative", "decision"} <= set(table.columns):
        raise NegRefineError(f"{name} lacks the columns 'negative' and 'decision'")
    wrong = sorted(set(table["decision"]) - {KEPT, DROPPED})
    if wrong:
        raise NegRefineError(f"{name}: a decision is '{KEPT}' or '{DROPPED}', not {wrong[0][:80]!r}")
    reasons, people = (table[name] if name in table else [""] * len(table) for name in ("reason", "who"))
    wanted: dict[str, tuple[str, str, str]] = {}
    for label, decision, reason, person in zip(table["negative"], table["decision"], reasons, people, strict=True):
        if wanted.setdefault(label, (decision, reason, person))[0] != decision:
            raise NegRefineError(f"{name} says of {label[:80]!r} both that it is kept and that it is dropped")
    return wanted
