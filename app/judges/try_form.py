"""The choice of a judge and its words, what trying it would ask, and the button that tries it as a job."""

from functools import partial
from pathlib import Path

import streamlit as st

from negrefine_core import jobs, overrides
from negrefine_core.judges.decided import needs_model
from negrefine_core.judges.estimate import Estimate
from negrefine_core.judges.trial import Standard, Trial
from negrefine_core.runs import Run

from ..shared import background, features
from ..shared.clicks import clicked
from ..shared.judge_form import Choice, judge_form
from ..shared.judge_key import api_key
from ..shared.refining import ask, before_sending
from ..shared.words import plain


def try_form(run: Run, standard: Standard, file: str, tried: list[Trial]) -> None:
    """The form; `tried` are the judges that were tried on these labels, of whom nothing new would be asked."""
    choice = judge_form(run)
    if choice is None:
        return
    found = None
    if choice.identity.servers:
        key = ("try", choice, file, overrides.verdict_state(run), run.state("overrides.jsonl"))
        work = partial(_estimate, run.folder, choice, standard, api_key())
        found = background.result(key, work, "Counting the questions …")
        if not found:
            return
        before_sending(found, choice)
    else:
        st.caption("It answers here. Nothing leaves this machine.")
    if not needs_model(run):
        st.caption(
            "Each label’s questions are those that the published judge was asked, up to its first yes. A judge that "
            "says no to all of these keeps the label, and is asked no more about it."
        )
    is_tried = any(trial.judge == str(choice.identity) and trial.is_whole and not trial.malformed for trial in tried)
    if is_tried:
        st.caption(
            f":material/check: {plain(run.short_judge_name(str(choice.identity)))} has answered all about these "
            f"{len(standard.decided):,} labels: there is nothing new to ask."
        )
    asks = f", {found.questions:,} questions at most" if found and found.questions else ""
    if clicked(
        f"Try it on {len(standard.decided):,} labels{asks}",
        "try_judge",
        icon=":material/science:",
        disabled=is_tried,
        help="Works in the background; every answer is kept as soon as it is there, and never asked for again. What "
        "the run keeps and drops stays as it is.",
    ):
        title = f"Try {choice.identity.short} on {run.name}"
        ask(run, choice, jobs.Spec(title=title, run=run.name, steps=(choice.trial(file),)))


def _estimate(folder: Path, choice: Choice, standard: Standard, key: str) -> Estimate:
    from negrefine_core import pipeline

    run = Run(folder)
    encoder = features.encoder(run) if needs_model(run) else None
    return pipeline.question_estimate(run, encoder, choice.judge(run, key), choice.rate_limit, choice.prices, standard)
