"""The choice of who judges: WordNet, a language model's server, an earlier log, or several of them as a panel."""

import os
from dataclasses import dataclass

import streamlit as st

from negrefine_core import jobs
from negrefine_core.errors import NegRefineError
from negrefine_core.hyperparameters import IN_FLIGHT
from negrefine_core.judge import Judge, JudgeIdentity
from negrefine_core.judges.choose import open_judge
from negrefine_core.judges.prompt_book import PromptBook
from negrefine_core.prompts import PAPER, PromptSet
from negrefine_core.runs import Run, run_names

from . import errors
from .judge_key import OPENAI_URL, api_key, kept_form
from .judge_widgets import widget
from .panel_form import panel_form
from .prompt_form import first_prompts, prompt_form

KINDS = {"wordnet": "WordNet (offline)", "openai": "Language model", "replay": "Earlier log", "panel": "Panel"}
FOLDER = "a folder of the published format"


@dataclass(frozen=True)
class Choice:
    """Who judges, in which words, and at what pace. `prompts` are the sets of the language models among them; `prices`
    those of a million tokens of questions, and of replies."""

    identity: JudgeIdentity
    prompts: tuple[PromptSet, ...] = ()
    in_flight: int = IN_FLIGHT
    rate_limit: float | None = None
    prices: tuple[float, float] | None = None

    @property
    def kind(self) -> str:
        return self.identity.kind

    @property
    def step(self) -> jobs.Refine:
        return jobs.Refine(judge=str(self.identity), in_flight=self.in_flight, rate_limit=self.rate_limit)

    def trial(self, standard: str) -> jobs.Try:
        """On the decisions of a CSV file, or of the run where it is empty."""
        judge = str(self.identity)
        return jobs.Try(judge=judge, in_flight=self.in_flight, rate_limit=self.rate_limit, standard=standard)

    def judge(self, run: Run, key: str) -> Judge:
        """The judge, to ask what it knows already. Raises NegRefineError when it cannot be."""
        return open_judge(
            str(self.identity),
            run.settings.wordnet,
            in_flight=self.in_flight,
            rate_limit=self.rate_limit,
            api_key=key or "none",
            book=PromptBook.of(run).with_sets(self.prompts),
        )


def judge_form(run: Run) -> Choice | None:
    """The form; None until it is complete."""
    own = JudgeIdentity.parse(run.judge)
    kept = kept_form()
    if kept.get("run") != run.name:  # another run has another judge; what was typed on servers and keys stays
        kept |= {"run": run.name, "kind": own.kind if own.kind in KINDS else "wordnet"}
        if own.kind == "openai":
            kept |= {"model": own.model, "url": own.url}
        kept |= {"prompts": first_prompts(run), "members": list(own.members), "rule": own.rule or "majority"}
    widget(
        st.segmented_control,
        "Judge",
        "kind",
        "wordnet",
        options=list(KINDS),
        format_func=KINDS.__getitem__,
        required=True,
        help="- **WordNet**: rules on the dictionary itself; free, offline, every answer checkable\n"
        "- **Language model**: any OpenAI-compatible server (OpenAI, vLLM, Ollama, llama.cpp), in the paper’s words "
        "or others\n"
        "- **Earlier log**: repeats the answers of another run or of a published log\n"
        "- **Panel**: several of these as one; where they disagree the label comes first in Review",
    )
    if kept["kind"] == "openai":
        return _server(run)
    if kept["kind"] == "replay":
        return _log(run)
    if kept["kind"] == "panel":
        return _panel(run)
    st.caption(
        "A proper noun is a word whose every sense WordNet knows as a single person, place or thing; a subcategory is "
        "a kind of the class in some sense."
    )
    return Choice(JudgeIdentity.wordnet(run.settings.wordnet))


def _server(run: Run) -> Choice | None:
    left, right = st.columns(2)
    url = (
        widget(
            left.text_input,
            "Base URL",
            "url",
            os.environ.get("OPENAI_BASE_URL", OPENAI_URL),
            help="The server’s address up to /v1, such as http://127.0.0.1:8000/v1 for one on this machine.",
        )
        .strip()
        .rstrip("/")
    )
    model = widget(
        right.text_input,
        "Model",
        "model",
        "",
        placeholder="qwen2.5",
        help="The server’s own name for the language model.",
    ).strip()
    widget(
        left.text_input,
        "Key",
        "key",
        "",
        type="password",
        autocomplete="off",
        placeholder="from OPENAI_API_KEY" if api_key() else "a local server needs none",
        help="Kept in this browser session alone: it goes to the server, and into no file, link or log. Set "
        "OPENAI_API_KEY or Streamlit’s secrets instead to have it at every start.",
    )
    in_flight = widget(
        right.number_input,
        "Labels judged at once",
        "in_flight",
        IN_FLIGHT,
        min_value=1,
        max_value=1024,
        help="Questions in flight to the server. The questions of one negative are asked one after the other.",
    )
    with st.expander("Rate limit and prices"):
        first, second, third = st.columns(3)
        rate = widget(
            first.number_input, "Questions a minute, at most", "rate", 0, min_value=0, help="0: as fast as it goes."
        )
        sent = widget(second.number_input, "Price of a million tokens sent", "sent", 0.0, min_value=0.0, format="%.3f")
        received = widget(
            third.number_input, "Price of a million received", "received", 0.0, min_value=0.0, format="%.3f"
        )
    prompts = prompt_form(run)
    if not model or not url:
        st.info("Give the server’s base URL and the name of its model.")
        return None
    if "@" in url or "?" in url:  # the address is kept with every verdict
        st.error("The base URL carries credentials or parameters. Type the key into its own field.")
        return None
    if url == OPENAI_URL and not api_key():
        st.info("OpenAI needs a key: set OPENAI_API_KEY, or type it above.")
        return None
    if prompts is None:
        return None
    prices = (sent, received) if sent or received else None
    identity = JudgeIdentity.openai(model, url, prompts.version)
    return Choice(identity, (prompts,), int(in_flight), float(rate) or None, prices)


def _panel(run: Run) -> Choice | None:
    """The members and how they decide; a language model is asked at the pace that its own form says."""
    found = panel_form(run)
    if found is None:
        return None
    kept = kept_form()
    if OPENAI_URL in found.servers and not api_key():
        st.info("OpenAI needs a key: set OPENAI_API_KEY, or type it under *Language model*.")
        return None
    ready: PromptSet = kept.get("ready", PAPER)
    asked_in = {JudgeIdentity.parse(member).prompts for member in found.members}
    prompts = (ready,) if ready.version in asked_in else ()
    prices = (kept.get("sent", 0.0), kept.get("received", 0.0))
    choice = Choice(
        found,
        prompts,
        int(kept.get("in_flight", IN_FLIGHT)),
        float(kept.get("rate", 0)) or None,
        prices if any(prices) else None,
    )
    try:
        choice.judge(run, "")
    except NegRefineError as error:
        errors.show(error)
        return None
    return choice


def _log(run: Run) -> Choice | None:
    sources = [name for name in run_names() if name != run.name] + [FOLDER]
    source = widget(st.selectbox, "Repeat the answers of", "source", sources[0], options=sources)
    if source == FOLDER:
        source = widget(
            st.text_input, "Folder", "folder", "", help="It holds llm_process_noun.txt and llm_process_adj.txt."
        ).strip()
    if not source:
        st.info("Give the folder of a published run.")
        return None
    return Choice(JudgeIdentity.replay(source))
