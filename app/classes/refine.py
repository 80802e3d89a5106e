"""Refining a run from the app: the choice of the judge, and the outcome."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core import overrides
from negrefine_core.records import Kind
from negrefine_core.runs import Run

from ..shared import background
from ..shared.judge_form import judge_form
from ..shared.refining import refine_button
from ..shared.words import plain


@dataclass(frozen=True)
class Outcome:
    """What the last judge made of the negatives; `unclear` has the replies that were neither yes nor no."""

    judge: str
    questions: int
    rejected: Mapping[Kind, int]
    unclear: pd.DataFrame


def refine_form(run: Run) -> None:
    """The form, the estimate and the button."""
    st.subheader(
        "Refine again" if run.is_refined else "Refine",
        help="A judge throws out negatives that are proper nouns or a kind of one of your classes (NegFilter in the "
        "paper): they would draw ID pictures away.",
    )
    choice = judge_form(run)
    if choice:
        refine_button(run, choice)


def outcome(folder: Path) -> Outcome:
    run = Run(folder)
    judge = run.judge
    verdicts = [verdict for verdict in run.verdicts if verdict.judge == judge]
    rejected = Counter(v.kind for v in run.rejections.values())
    rows = [(v.negative, v.id_label or "", v.reply) for v in verdicts if v.answer == "unclear"]
    return Outcome(
        run.judge_name(judge), len(verdicts), rejected, pd.DataFrame(rows, columns=["Negative", "Class", "Reply"])
    )


def refine_outcome(run: Run) -> None:
    """What the judge decided, where it has."""
    key = ("outcome", overrides.verdict_state(run))
    found = background.result(key, partial(outcome, run.folder), "Reading the verdicts …")
    if not found:
        return
    rejected = Counter(found.rejected)
    mined, cleaned = len(run.initial_negatives), len(run.reviewable)
    left_out = f", less {mined - cleaned:,} that were doubled or shorter than 3 letters" if mined > cleaned else ""
    st.success(
        f"**{len(run.negatives):,} negatives kept** of {mined:,} that were mined{left_out}. "
        f"Rejected by {plain(found.judge)}: {rejected['proper noun']:,} as proper nouns, "
        f"{rejected['subcategory']:,} as a kind of one of your classes (subcategories), {rejected['same']:,} as equal "
        f"to one; {found.questions:,} answers on file.",
        icon=":material/check:",
    )
    if not found.unclear.empty:
        st.warning(
            f"**{len(found.unclear):,} replies were unclear**, neither yes nor no. They count as no, as in the "
            "paper, and keep the negative.",
            icon=":material/help:",
        )
        st.dataframe(found.unclear, hide_index=True, height=200, alt="Unclear replies")
