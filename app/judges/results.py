"""What trials found: a row a judge, the best first; where one decides otherwise than people, and its use."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core import jobs
from negrefine_core.errors import NegRefineError
from negrefine_core.hyperparameters import IN_FLIGHT
from negrefine_core.jobs import Job
from negrefine_core.judge import JudgeIdentity
from negrefine_core.judges.choose import JUDGES
from negrefine_core.judges.decided import needs_model
from negrefine_core.judges.doubts import doubts_of
from negrefine_core.judges.prompt_book import PromptBook
from negrefine_core.judges.trial import Figure, Standard, Trial, artefacts, trials
from negrefine_core.runs import Run

from ..shared import background, errors, links
from ..shared.job_panel import job_panel
from ..shared.judge_form import Choice
from ..shared.judge_key import api_key, kept_form, key_for
from ..shared.refining import refine_button
from ..shared.review_link import review_column, review_url
from ..shared.view import bound
from ..shared.wordnet import WORDNET_LOCK, wordnet
from ..shared.words import plain
from .view import JudgesView

MEANING = (
    "In brackets 95% intervals, by the bootstrap over the labels; none where every resample gives the same figure.\n"
    "- **Agreement**: the share of labels on which the judge decides as people did\n"
    "- **Kappa**: Cohen’s, agreement beyond chance: 1 is full, 0 is chance\n"
    "- **Precision**: of the labels that it rejects, the share that people dropped\n"
    "- **Recall**: of the labels that people dropped, the share that it rejects\n"
    "- **Questions**: what it was asked about these labels\n"
    "- **Reply seconds**: the sum of its replies’ own times; starting, and finding the questions, is not in it"
)


@dataclass(frozen=True)
class Results:
    """The tries, the best first, and what their figures owe to the choice of the labels."""

    tried: list[Trial]
    notes: list[str]


def results(run: Run, view: JudgesView, standard: Standard, file: str, refining: Job | None) -> list[Trial] | None:
    """The table of all tries, which are returned, and one of them looked at; None until they are read.

    `refining` is a job that refines the run, and is shown in place of the button that starts one.
    """
    state = run.state("run.json", "verdicts.jsonl", "overrides.jsonl")
    read = background.result(
        ("trials", file, state), partial(_results, run.folder, standard), "Reading the judges’ answers …"
    )
    if read is None:
        return None
    found = read.tried
    st.markdown("**Judges tried**, the best first", help=MEANING)
    if not found:
        st.info("No judge has answered about these labels yet. Choose one below, and try it.")
        return found
    _table(run, found)
    if read.notes:
        st.info("  \n".join(f"{plain(note)}." for note in read.notes), icon=":material/balance:")
    _undefined(run, found)
    shown = next((trial for trial in found if trial.judge == view.tried), found[0])
    st.selectbox(
        "Look at",
        [trial.judge for trial in found],
        format_func=lambda judge: run.judge_name(judge) + (", which refined this run" if judge == run.judge else ""),
        **bound(view, "tried", shown.judge),
    )
    _disagreements(run, view, shown)
    if refining:
        job_panel(refining, api_key)
    if not refining or refining.state not in jobs.ACTIVE:
        _use(run, view, shown)
    return found


def _results(folder: Path, standard: Standard) -> Results:
    run = Run(folder)
    found = trials(run, standard)
    if not found:
        return Results(found, [])
    with WORDNET_LOCK:
        return Results(found, artefacts(run, standard, doubts_of(run, wordnet())))


def _table(run: Run, found: list[Trial]) -> None:
    prices = float(kept_form().get("sent", 0.0)), float(kept_form().get("received", 0.0))
    rows = []
    for trial in found:
        row = {
            "Judge": run.short_judge_name(trial.judge),
            "Labels": f"{trial.decided:,}" if trial.is_whole else f"{trial.decided:,} of {trial.labels:,}",
            "Agreement": _share(trial.agreement),
            "Kappa": _kappa(trial.kappa),
            "Precision": _share(trial.precision),
            "Recall": _share(trial.recall),
            "Questions": trial.questions,
            "Unclear": trial.unclear,
            "Reply seconds": round(trial.seconds, 1),
        }
        cost = trial.cost(prices) if any(prices) else None
        rows.append(row if cost is None else row | {"Cost": cost})
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Judge": st.column_config.TextColumn(pinned=True),
            "Reply seconds": st.column_config.NumberColumn(format="%.1f"),
            "Cost": st.column_config.NumberColumn(format="%.4f", help="At the prices in the form below."),
        },
        alt="Each judge's agreement with people on the decided labels, and what it took",
    )


def _share(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    bounds = f" ({100 * figure.bounds.low:.0f}–{100 * figure.bounds.high:.0f})" if figure.bounds else ""
    return f"{100 * figure.value:.1f}%{bounds}"


def _kappa(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    bounds = f" ({figure.bounds.low:.2f} to {figure.bounds.high:.2f})" if figure.bounds else ""
    return f"{figure.value:.2f}{bounds}"


def _undefined(run: Run, found: list[Trial]) -> None:
    """Why a figure is a dash, and what is not finished."""
    whys = {
        f"No {name} of {plain(run.short_judge_name(trial.judge))}: {plain(figure.why)}."
        if name != "kappa"
        else f"No kappa: {plain(figure.why)}."
        for trial in found
        for name, figure in (("kappa", trial.kappa), ("precision", trial.precision), ("recall", trial.recall))
        if figure.why
    }
    notes = sorted(whys)
    if any(not trial.is_whole for trial in found):
        notes.append(
            "A judge that has not decided on every label was stopped, or asked about some of them alone. Try it to go "
            "on: what it answered is not asked again."
        )
    if notes:
        st.caption("  \n".join(notes))


def _disagreements(run: Run, view: JudgesView, trial: Trial) -> None:
    if trial.malformed:
        st.warning(
            f"{trial.malformed:,} replies were not said by the model and count as unclear. Try it again to ask them.",
            icon=":material/help:",
        )
    if not trial.disagreements:
        st.caption(f"It decides as people did on each of the {trial.decided:,} labels.")
        return
    st.markdown(f"**Where it decides otherwise** ({len(trial.disagreements):,} labels)")
    rows = [
        {
            "Negative": each.label,
            "People": each.people,
            "Judge": each.judge,
            "Question": each.verdict.kind,
            "ID class": each.verdict.id_label or "",
            "Reply": each.verdict.reply or each.verdict.answer.capitalize(),  # the published logs keep no raw replies
            "Review": review_url(view, run, each.label),
        }
        for each in trial.disagreements
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=38 + 35 * min(len(rows), 10),
        column_config={
            "Question": st.column_config.TextColumn(help="The question whose answer decided."),
            "Review": review_column(),
        },
        alt="Labels on which this judge decides otherwise than people, with the answer that decided",
    )


def _use(run: Run, view: JudgesView, trial: Trial) -> None:
    """Refine the run with a judge that was tried; an error leaves the rest of the page as it is."""
    identity = JudgeIdentity.parse(trial.judge)
    if trial.judge == run.judge:
        st.page_link(
            links.page("review"),
            label="It refined this run: review what it decided",
            icon=":material/rate_review:",
            query_params=view.query(),
        )
        return
    if identity.kind not in JUDGES:
        return
    st.subheader("Use this judge", help="Refines all the run’s negatives with it. What it answered is not asked again.")
    if not needs_model(run):
        st.caption(
            "The run is a published log, without the model that finds a label’s questions. In a run of your own "
            "classes, choose this judge on the page ID classes."
        )
        return
    strange = [server for server in identity.servers if api_key() and key_for(server) == "none"]
    if strange:
        st.info(
            f"Your key would go to {plain(strange[0])}, a server that this run names and you have not. Type its "
            "address into the form below first, if it is yours."
        )
        return
    try:
        refine_button(run, _choice(run, identity))
    except NegRefineError as error:
        errors.show(error)


def _choice(run: Run, identity: JudgeIdentity) -> Choice:
    """Asked in the words in which it was tried, at the pace and prices of the form."""
    book, kept = PromptBook.of(run), kept_form()
    each = [JudgeIdentity.parse(member) for member in identity.members] or [identity]
    versions = dict.fromkeys(judge.prompts for judge in each if judge.kind == "openai")
    prices = float(kept.get("sent", 0.0)), float(kept.get("received", 0.0))
    return Choice(
        identity,
        tuple(book.find(version) for version in versions),
        int(kept.get("in_flight", IN_FLIGHT)),
        float(kept.get("rate", 0)) or None,
        prices if any(prices) else None,
    )
