"""What came and went when a class list was edited: negatives, and the verdicts and overrides that no longer apply."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core import overrides
from negrefine_core.judge import Question
from negrefine_core.judges.estimate import Cause, estimate, stale_verdicts
from negrefine_core.negfilter import clean_negatives
from negrefine_core.records import Negative, Verdict
from negrefine_core.runs import Run

from ..shared import background
from ..shared.refining import chains
from ..shared.words import plain, some

CAUSES: dict[Cause, str] = {
    "not mined": "the negative is no longer mined",
    "class removed": "the class was removed",
    "not nearest": "the class is no longer one of the ten nearest",
}
ANSWERS = {"yes": "yes: rejected", "no": "no", "unclear": "unclear, counted as no"}


@dataclass(frozen=True)
class Staleness:
    """Of the old run's verdicts: `stale` (a row each: negative, question, answer, why; the `rejections` first), how
    many still hold, and at most how many questions of the new run it did not answer, on how many labels."""

    stale: pd.DataFrame
    rejections: int
    causes: Counter[Cause]
    holding: int
    new_questions: int
    new_labels: int


def what_changed(old: Run, new: Run) -> None:
    """The new run against the one whose classes were edited."""
    _classes(old, new)
    _negatives(old, new)
    st.markdown(
        "**Verdicts that no longer apply** (stale)",
        help="A verdict answers one question about one negative and one class. It is stale when the new class list no "
        "longer asks that question. The old run keeps it, and the answer stays in the cache.",
    )
    key = ("stale", *(overrides.verdict_state(run) for run in (old, new)))
    found = background.result(key, partial(_staleness, old.folder, new.folder), "Comparing the questions …")
    if found:
        _stale(old, new, found)


def _classes(old: Run, new: Run) -> None:
    before, after = old.id_labels, new.id_labels
    added, removed = _only(after, before), _only(before, after)
    if added or removed:
        parts = [
            f"{len(names):,} {word}: {some(names, 8)}"
            for names, word in ((added, "added"), (removed, "removed"))
            if names
        ]
        st.markdown(f"**Classes** {'; '.join(parts)}")
    else:
        st.markdown("**Classes** the same, with other settings")


def _only(names: Sequence[str], others: Sequence[str]) -> list[str]:
    there = set(others)
    return [name for name in names if name not in there]


def negative_changes(before: Sequence[Negative], after: Sequence[Negative]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(those that came, those that went), each in its mined order."""
    return _table(after, before), _table(before, after)


def _table(negatives: Sequence[Negative], others: Sequence[Negative]) -> pd.DataFrame:
    there = {(negative.label, negative.pos) for negative in others}
    rows = [(n.label, n.pos, n.similarity) for n in negatives if (n.label, n.pos) not in there]
    return pd.DataFrame(rows, columns=["Negative", "Kind", "Similarity"])


def _negatives(old: Run, new: Run) -> None:
    came, went = negative_changes(old.initial_negatives, new.initial_negatives)
    total = len(new.initial_negatives)
    st.markdown(
        f"**Mined negatives** {total:,}, of which {total - len(came):,} as before",
        help="Similarity: the cosine with the nearest class; the words with the lowest are mined. The lens above a "
        "table searches it.",
    )
    for place, table, words in zip(st.columns(2), (came, went), ("came", "went"), strict=True):
        with place:
            st.caption(f"{len(table):,} {words}")
            st.dataframe(
                table,
                hide_index=True,
                height=min(38 + 35 * max(len(table), 1), 300),
                alt=f"Negatives that {words}",
                column_config={"Similarity": st.column_config.NumberColumn(format="%.3f")},
            )


def _stale(old: Run, new: Run, found: Staleness) -> None:
    st.markdown(
        f"{len(found.stale):,} stale, {found.rejections:,} of them rejections; {found.holding:,} still hold. "
        f"**At most {found.new_questions:,} questions are new**, on {found.new_labels:,} negatives."
    )
    if not found.stale.empty:
        st.caption(
            "Why: " + "; ".join(f"{count:,} because {CAUSES[cause]}" for cause, count in found.causes.most_common())
        )
        st.dataframe(found.stale, hide_index=True, height=300, alt="Stale verdicts, rejections first")
    mined = {negative.label for negative in clean_negatives(new.initial_negatives)}
    lost = [label for label in overrides.in_force(old.overrides) if label not in mined]
    if lost:
        st.caption(f"Overrides of {plain(old.name)} on negatives that went: {some(lost, 8)}.")


def _staleness(old_folder: Path, new_folder: Path) -> Staleness:
    old, new = Run(old_folder), Run(new_folder)
    judge = old.judge
    verdicts = [verdict for verdict in old.verdicts if verdict.judge == judge]
    return staleness(verdicts, chains(new), new.id_labels)


def staleness(verdicts: Sequence[Verdict], asked: Sequence[Sequence[Question]], id_labels: Sequence[str]) -> Staleness:
    found = stale_verdicts(verdicts, asked, id_labels)
    stale = sorted(found, key=lambda each: each.verdict.answer != "yes")
    ahead = estimate(asked, {verdict.subject: verdict.answer for verdict in verdicts}, 1)
    rows = [(s.verdict.negative, _question(s.verdict), ANSWERS[s.verdict.answer], s.reason) for s in stale]
    return Staleness(
        pd.DataFrame(rows, columns=["Negative", "Question", "Answer", "Why"]),
        sum(each.verdict.answer == "yes" for each in stale),
        Counter(each.cause for each in stale),
        len(verdicts) - len(stale),
        ahead.questions,
        ahead.labels,
    )


def _question(verdict: Verdict) -> str:
    return f"{verdict.kind} of {verdict.id_label}?" if verdict.id_label else f"{verdict.kind}?"
