"""Refining a run from the app: what a judge would be asked and what leaves the machine, the button, and the outcome."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core import jobs, overrides
from negrefine_core.judge import SYSTEM_PROMPT
from negrefine_core.judges.estimate import Estimate, estimate
from negrefine_core.judges.prompt_book import keep
from negrefine_core.records import Kind
from negrefine_core.runs import Run

from ..shared import background, features
from ..shared.clicks import clicked
from ..shared.judge_key import api_key, note_server
from ..shared.words import duration, plain
from .changes import chains
from .judge_form import Choice, judge_form


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
    if choice is None:
        return
    if choice.kind == "wordnet":
        st.caption("WordNet answers all the questions itself, offline and in seconds. Nothing leaves this machine.")
        _button(run, choice, None)
        return
    work = partial(_estimate, run.folder, choice, api_key())
    key = ("estimate", choice, overrides.verdict_state(run))
    found = background.result(key, work, "Counting the questions …")
    if not found:
        return
    if choice.identity.servers:
        _before_sending(found, choice)
    elif choice.kind == "panel":
        st.caption("Every judge of the panel answers here. Nothing leaves this machine.")
    else:
        st.caption(
            f"The log answers {found.cached:,} questions; at most {found.questions:,} are not in it and count "
            "as unclear, which keeps the negative. Nothing leaves this machine."
        )
    _button(run, choice, found)


def _estimate(folder: Path, choice: Choice, key: str) -> Estimate:
    from negrefine_core import pipeline

    run, judge = Run(folder), choice.judge(Run(folder), key)
    if choice.kind == "replay":
        from negrefine_core.reference import logged_verdicts

        logged = logged_verdicts(choice.identity.detail)
        return estimate(chains(run), {verdict.subject: verdict.answer for verdict in logged}, 1)
    return pipeline.question_estimate(run, features.encoder(run), judge, choice.rate_limit, choice.prices)


def _before_sending(found: Estimate, choice: Choice) -> None:
    """What a server would be asked: counts, time, cost, and the text that leaves the machine."""
    figures = {
        "Questions, at most": (
            f"{found.questions:,}",
            "A yes ends a negative’s questions, so there may be fewer.",
        ),
        "Answered already": (f"{found.cached:,}", "By this judge, in this run or another: they are not asked again."),
        "Tokens": (f"{found.prompt_tokens + found.completion_tokens:,}", "Roughly: sent and received."),
        "Time": (duration(found.seconds), "Roughly: from measured replies, or half a second each until there are any."),
    }
    if found.cost is not None:
        figures["Cost"] = (f"{found.cost:,.2f}", "At your prices.")
    for column, (label, (value, meaning)) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(label, value, help=meaning)
    if not found.questions:
        return
    with st.container(border=True):
        to = plain(" and ".join(choice.identity.servers))
        st.markdown(
            f"**What leaves this machine**, to {to}: these questions with your class names and the negatives, word for "
            f"word{_added(choice)}. No pictures, no file names."
            + (" Your key goes to each of these servers." if len(choice.identity.servers) > 1 and api_key() else "")
        )
        systems = [prompts.system for prompts in choice.prompts] or [SYSTEM_PROMPT]
        st.code("\n\n".join([*systems, *found.examples]), language=None, wrap_lines=True)


def _added(choice: Choice) -> str:
    added = [prompts.adds for prompts in choice.prompts if prompts.adds]
    return f", with {' and '.join(added)}" if added else ""


def _button(run: Run, choice: Choice, found: Estimate | None) -> None:
    asks = choice.identity.servers and found is not None and found.questions
    label = "Refine again" if run.is_refined else "Refine"
    if clicked(
        f"Ask {found.questions:,} questions" if asks and found else label,
        "refine",
        type="secondary" if run.is_refined else "primary",
        icon=":material/gavel:",
        help="Works in the background; every answer is kept as soon as it is there.",
    ):
        key = api_key() if choice.identity.servers else ""
        for server in choice.identity.servers:
            note_server(server)
        for prompts in choice.prompts:
            keep(run, prompts)
        jobs.start(jobs.Spec(title=f"Refine {run.name}", run=run.name, steps=(choice.step,)), api_key=key)
        st.rerun()


def outcome(folder: Path) -> Outcome:
    run = Run(folder)
    judge = run.judge
    verdicts = [verdict for verdict in run.verdicts if verdict.judge == judge]
    rejected = Counter(v.kind for v in run.rejections.values())
    rows = [(v.negative, v.id_label or "", v.reply) for v in verdicts if v.answer == "unclear"]
    return Outcome(judge, len(verdicts), rejected, pd.DataFrame(rows, columns=["Negative", "Class", "Reply"]))


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
