"""The choice of a panel: which judges decide together, and how."""

import streamlit as st

from negrefine_core.judge import JudgeIdentity
from negrefine_core.judges.panel import RULES
from negrefine_core.prompts import PAPER, PromptSet
from negrefine_core.runs import Run

from .cached import cached_by
from .judge_key import kept_form
from .judge_widgets import widget
from .words import plain

RULE_WORDS = {"majority": "More than half say yes", "any": "Any says yes"}


def panel_form(run: Run) -> JudgeIdentity | None:
    """The panel; None until it has two members."""
    known = _known(run)
    kept = kept_form()
    members = widget(
        st.multiselect,
        "Judges",
        "members",
        list[str](),
        options=list(dict.fromkeys([*known, *kept.get("members", [])])),
        accept_new_options=True,
        placeholder="Choose two or more, or type openai:MODEL@URL",
        help="WordNet, the language model of the form beside it, and who has answered in this run. Others can be "
        "typed: openai:MODEL@URL; to be asked with both words’ meanings, openai+glossed:MODEL@URL.",
    )
    rule = widget(
        st.segmented_control,
        "Rejected where",
        "rule",
        "majority",
        options=list(RULES),
        format_func=RULE_WORDS.__getitem__,
        required=True,
        help="An unclear reply counts as no. Each judge’s own answers are kept.",
    )
    if len(members) < 2:
        st.info(
            "Choose two judges or more. For a language model that is not in the list, give its server under "
            "“Language model” first, or type it."
        )
        return None
    panel = JudgeIdentity.panel(rule, members)
    for server in panel.servers:
        if "@" in server or "?" in server:  # the address is kept with every verdict
            st.error(f"The base URL {plain(server.rpartition('@')[2])} carries credentials or parameters.")
            return None
    return panel


def _known(run: Run) -> list[str]:
    """Who can be chosen without typing."""
    kept = kept_form()
    model, url = str(kept.get("model", "")).strip(), str(kept.get("url", "")).strip().rstrip("/")
    ready: PromptSet = kept.get("ready", PAPER)
    typed = [str(JudgeIdentity.openai(model, url, ready.version))] if model and url else []
    return list(dict.fromkeys([str(JudgeIdentity.wordnet(run.settings.wordnet)), *typed, *_answered(run)]))


@cached_by(lambda run: run.state("verdicts.jsonl"), max_entries=16)
def _answered(run: Run) -> list[str]:
    """Who has answered questions in the run, and can answer more."""
    judges = sorted({verdict.judge for verdict in run.verdicts})
    return [judge for judge in judges if JudgeIdentity.parse(judge).kind in ("openai", "replay")]
