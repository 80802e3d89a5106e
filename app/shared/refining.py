"""What refining with a judge would ask, what leaves the machine, and the button that starts it as a job."""

from functools import partial
from pathlib import Path

import streamlit as st

from negrefine_core import jobs, overrides
from negrefine_core.judge import SYSTEM_PROMPT, Question
from negrefine_core.judges.estimate import Estimate, estimate
from negrefine_core.judges.prompt_book import keep
from negrefine_core.negfilter import clean_negatives, question_chains
from negrefine_core.runs import Run

from . import background, features
from .clicks import clicked
from .judge_form import Choice
from .judge_key import api_key, note_server
from .words import duration, plain


def refine_button(run: Run, choice: Choice) -> None:
    """What this judge would be asked about the run's negatives, and the button."""
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
        before_sending(found, choice)
    elif choice.kind == "panel":
        st.caption("Every judge of the panel answers here. Nothing leaves this machine.")
    else:
        st.caption(
            f"The log answers {found.cached:,} questions; at most {found.questions:,} are not in it and count "
            "as unclear, which keeps the negative. Nothing leaves this machine."
        )
    _button(run, choice, found)


def chains(run: Run) -> list[list[Question]]:
    """The run's questions; takes the model, so in the background alone."""
    return question_chains(features.encoder(run), clean_negatives(run.initial_negatives), run.id_labels)


def _estimate(folder: Path, choice: Choice, key: str) -> Estimate:
    from negrefine_core import pipeline

    run, judge = Run(folder), choice.judge(Run(folder), key)
    if choice.kind == "replay":
        from negrefine_core.reference import logged_verdicts

        logged = logged_verdicts(choice.identity.detail)
        return estimate(chains(run), {verdict.subject: verdict.answer for verdict in logged}, 1)
    return pipeline.question_estimate(run, features.encoder(run), judge, choice.rate_limit, choice.prices)


def before_sending(found: Estimate, choice: Choice) -> None:
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
        ask(run, choice, jobs.Spec(title=f"Refine {run.name}", run=run.name, steps=(choice.step,)))


def ask(run: Run, choice: Choice, spec: jobs.Spec) -> None:
    """Start a job that asks this judge; the key goes to its servers alone."""
    for server in choice.identity.servers:
        note_server(server)
    for prompts in choice.prompts:
        keep(run, prompts)
    jobs.start(spec, api_key=api_key() if choice.identity.servers else "")
    st.rerun()
