"""A person's decisions on top of the judge's: final negatives = verdicts + overrides, always recomputed."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from .errors import NegRefineError
from .mining import Negative
from .negfilter import Verdict, clean_negatives
from .paths import write_atomically
from .runs import Override, Run

KEPT, DROPPED = "kept", "dropped"
PUBLISHED = "published"  # the judge of imported runs
EXPORTED = ["negative", "decision", "reason", "who", "time"]


def judge_of(run: Run) -> str:
    """The identity of the judge whose verdicts decide: the last that refined the run."""
    return str(run.info.get("judge", run.settings.judge))


def rejections(run: Run) -> dict[str, Verdict]:
    """The verdict that rejected each negative, by negative."""
    judge = judge_of(run)
    return {v.negative: v for v in run.verdicts if v.judge == judge and v.answer == "yes"}


def reviewable(run: Run) -> list[Negative]:
    """The cleaned negatives in mined order, or in its log's order when the run is a published one."""
    cleaned = clean_negatives(run.initial_negatives)
    if judge_of(run) != PUBLISHED:
        return cleaned
    place = {label: i for i, label in enumerate(dict.fromkeys(v.negative for v in run.verdicts))}
    return sorted(cleaned, key=lambda negative: place.get(negative.label, len(place)))


def in_force(overrides: Sequence[Override]) -> dict[str, Override]:
    """The last override of each negative, without what was undone."""
    undone = {override.undoes for override in overrides}
    return {o.negative: o for i, o in enumerate(overrides) if o.undoes is None and i not in undone}


def review_table(run: Run) -> pd.DataFrame:
    """One row a negative: `label`, `pos`, `similarity`, the judge's `verdict` with its `kind` and `id_label`, the
    `decision` in force, and the override's `overridden`, `reason`, `who` and `time`."""
    rejected, overrides = rejections(run), in_force(run.overrides)
    rows = []
    for negative in reviewable(run):
        verdict, override = rejected.get(negative.label), overrides.get(negative.label)
        judged = DROPPED if verdict else KEPT
        rows.append(
            {
                "label": negative.label, "pos": negative.pos, "similarity": negative.similarity, "verdict": judged,
                "kind": verdict.kind if verdict else "", "id_label": (verdict and verdict.id_label) or "",
                "decision": override.new if override else judged, "overridden": override is not None,
                "reason": override.reason if override else "", "who": override.who if override else "",
                "time": override.time if override else "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def final_negatives(run: Run) -> list[Negative]:
    """What verdicts and overrides leave; a restored label is back in its place."""
    rejected, overrides = rejections(run), in_force(run.overrides)
    decision = dict.fromkeys(rejected, DROPPED) | {label: o.new for label, o in overrides.items()}
    return [negative for negative in reviewable(run) if decision.get(negative.label, KEPT) == KEPT]


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


def override(run: Run, labels: Iterable[str], decision: str, who: str, reason: str = "") -> list[Override]:
    """Decide on negatives, and recompute `negatives.csv`; those decided so already are left as they are.

    Raises NegRefineError for a label that is no negative of the run, or when no negative would be left.
    """
    if decision not in (KEPT, DROPPED):
        raise NegRefineError(f"a decision is '{KEPT}' or '{DROPPED}', not {decision!r}")
    table = review_table(run).set_index("label")
    labels = list(dict.fromkeys(labels))
    unknown = [label for label in labels if label not in table.index]
    if unknown:
        raise NegRefineError(f"{unknown[0]!r} is no mined negative of the run {run.name!r}; see initial_negatives.csv")
    current = table["decision"]
    changed = [label for label in labels if current[label] != decision]
    if decision == DROPPED and (current == KEPT).sum() == len(changed):
        raise NegRefineError("that would drop every negative; keep at least one to score with")
    added = [Override(label, current[label], decision, reason, who, _now()) for label in changed]
    _decide(run, added)
    return added


def undo(run: Run, who: str, count: int = 1) -> list[Override]:
    """Undo the last `count` overrides that are not undone yet, by appending their inverses."""
    log = run.overrides
    undone = {entry.undoes for entry in log}
    open_entries = [i for i, entry in enumerate(log) if entry.undoes is None and i not in undone]
    last = open_entries[-count:][::-1] if count > 0 else []
    added = [Override(log[i].negative, log[i].new, log[i].old, "undo", who, _now(), undoes=i) for i in last]
    _decide(run, added)
    return added


def _decide(run: Run, added: Sequence[Override]) -> None:
    if added:
        run.append_overrides(added)
        run.write_negatives(final_negatives(run))


def export_csv(run: Run, path: str | Path) -> int:
    """Write the overrides in force as CSV; returns how many."""
    rows = [(o.negative, o.new, o.reason, o.who, o.time) for o in in_force(run.overrides).values()]
    write_atomically(Path(path), pd.DataFrame(rows, columns=EXPORTED).to_csv(index=False))
    return len(rows)


def import_csv(run: Run, path: str | Path, who: str) -> tuple[list[Override], list[str]]:
    """Apply a CSV with the columns `negative`, `decision` and perhaps `reason`: (overrides, labels not in the run)."""
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
    except (OSError, ValueError) as error:
        raise NegRefineError(f"cannot read {path} ({error}); give a CSV file as the export writes it") from error
    if not {"negative", "decision"} <= set(table.columns):
        raise NegRefineError(f"{path} lacks the columns 'negative' and 'decision'")
    wrong = sorted(set(table["decision"]) - {KEPT, DROPPED})
    if wrong:
        raise NegRefineError(f"{path}: a decision is '{KEPT}' or '{DROPPED}', not {wrong[0]!r}")
    known = {negative.label for negative in reviewable(run)}
    reasons = table["reason"] if "reason" in table else pd.Series("", index=table.index)
    added: list[Override] = []
    for (decision, reason), rows in table.groupby(["decision", reasons], sort=False):
        labels = [label for label in rows["negative"] if label in known]
        added += override(run, labels, str(decision), who, str(reason)) if labels else []
    return added, [label for label in table["negative"] if label not in known]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
