"""Ask why: a language model's reason for its answer, in its own words, asked only on a click and kept in the run."""

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.judge import JudgeIdentity
from negrefine_core.judges.why import ask_why, can_be_asked, kept_reason
from negrefine_core.records import Reason, Verdict
from negrefine_core.runs import Run

from ..shared import errors
from ..shared.clicks import clicked
from ..shared.judge_key import key_for
from ..shared.words import plain

FOLDED = 600  # characters that are shown at once


def why(run: Run, verdicts: list[Verdict]) -> None:
    """The reason of each language model among those that answered one question, or the button that asks for it."""
    for verdict in verdicts:
        if can_be_asked(verdict):
            _why(run, verdict)


def _why(run: Run, verdict: Verdict) -> None:
    identity = JudgeIdentity.parse(verdict.judge)
    try:
        reason = kept_reason(run, verdict)
        if reason is None and _is_asked(verdict, identity):
            with st.spinner(f"Asking {plain(identity.model)}"):
                ask_why(run, verdict, key_for(identity.url))
            st.rerun()
    except (NegRefineError, OSError) as error:
        errors.show(error)
        return
    if reason:
        _show(reason, identity)


def _is_asked(verdict: Verdict, identity: JudgeIdentity) -> bool:
    words = f"“{plain(verdict.negative)}” and “{plain(verdict.id_label)}”" if verdict.id_label else "the word"
    return clicked(
        f"Ask {plain(identity.model[:60])} why",
        f"why {verdict.judge} {verdict.subject}",
        icon=":material/psychology_alt:",
        type="secondary",
        help=f"Sends the question on {words} and the answer to {plain(identity.url)}, and nothing else. The reason is "
        "kept with the run.",
    )


def _show(reason: Reason, identity: JudgeIdentity) -> None:
    """Plain text: a reason that holds HTML or Markdown shows it."""
    with st.container(border=True, gap="xsmall"):
        st.caption(f"Why {plain(identity.model[:60])} said {reason.answer}, asked on {plain(reason.time[:10])}")
        text = reason.text.strip()
        if not text:
            st.markdown("The model gave no reason: its reply was empty.")
            return
        st.text(text[:FOLDED] + (" …" if len(text) > FOLDED else ""))
        if len(text) > FOLDED:
            with st.expander(f"All {len(text):,} characters"):
                st.text(text)
