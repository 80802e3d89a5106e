"""Batches of questions that lie with a language model's server: said on every page of their run."""

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.run_files.batches import FILE, read_batches
from negrefine_core.runs import Run

from . import errors
from .words import plain


def batches_notice(run: Run) -> None:
    """How many questions to whom, since when, and the command that fetches the replies."""
    try:
        under_way = [sent for sent in read_batches(run.path(FILE)) if not sent.ended]
    except NegRefineError as error:
        errors.show(error, "warning")
        return
    if not under_way:
        return
    questions = sum(sent.questions for sent in under_way)
    judges = ", ".join(sorted({plain(run.short_judge_name(sent.judge)) for sent in under_way}))
    count, them = ("A batch", "it") if len(under_way) == 1 else (f"{len(under_way):,} batches", "them")
    st.info(
        f"{count} of {questions:,} questions to {judges} under way, the first sent on {under_way[0].time[:10]}. "
        f"`negrefine judges batch --name {run.name}`, with the judge as you sent {them}, fetches what is answered.",
        icon=":material/schedule_send:",
    )
