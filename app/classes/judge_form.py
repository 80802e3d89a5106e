"""The choice of who judges: WordNet, a language model's server, or an earlier log; and the server's key."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from negrefine_core import jobs
from negrefine_core.hyperparameters import IN_FLIGHT
from negrefine_core.judge import Judge, JudgeIdentity
from negrefine_core.judges.choose import open_judge
from negrefine_core.runs import Run, run_names

from ..shared.judge_key import OPENAI_URL, api_key, kept_form, note_server

KINDS = {"wordnet": "WordNet (offline)", "openai": "Language model", "replay": "Earlier log"}
Value = TypeVar("Value")
FOLDER = "a folder of the published format"


@dataclass(frozen=True)
class Choice:
    """Who judges, and at what pace. `prices` are those of a million tokens of questions, and of replies."""

    identity: JudgeIdentity
    in_flight: int = IN_FLIGHT
    rate_limit: float | None = None
    prices: tuple[float, float] | None = None

    @property
    def kind(self) -> str:
        return self.identity.kind

    @property
    def step(self) -> jobs.Refine:
        return jobs.Refine(judge=str(self.identity), in_flight=self.in_flight, rate_limit=self.rate_limit)

    def judge(self, run: Run, key: str) -> Judge:
        """The judge, to ask what it knows already. Raises NegRefineError when it cannot be."""
        if self.kind != "openai":
            return open_judge(str(self.identity), run.settings.wordnet)
        from negrefine_core.judges.cache import CachedJudge
        from negrefine_core.judges.openai import OpenAIJudge

        asked = OpenAIJudge(
            self.identity.model,
            self.identity.url,
            api_key=key or "none",
            concurrency=self.in_flight,
            rate=self.rate_limit,
        )
        return CachedJudge(asked)


def judge_form(run: Run) -> Choice | None:
    """The form; None until it is complete."""
    own = JudgeIdentity.parse(run.judge)
    kept = kept_form()
    if kept.get("run") != run.name:  # another run has another judge; what was typed on servers and keys stays
        kept |= {"run": run.name, "kind": own.kind if own.kind in KINDS else "wordnet"}
        if own.kind == "openai":
            kept |= {"model": own.model, "url": own.url}
    _widget(
        st.segmented_control,
        "Judge",
        "kind",
        "wordnet",
        options=list(KINDS),
        format_func=KINDS.__getitem__,
        required=True,
        help="- **WordNet**: rules on the dictionary itself; free, offline, every answer checkable\n"
        "- **Language model**: any OpenAI-compatible server (OpenAI, vLLM, Ollama, llama.cpp), in the paper’s words\n"
        "- **Earlier log**: repeats the answers of another run or of a published log",
    )
    if kept["kind"] == "openai":
        return _server()
    if kept["kind"] == "replay":
        return _log(run)
    st.caption(
        "A proper noun is a word whose every sense WordNet knows as a single person, place or thing; a subcategory is "
        "a kind of the class in some sense."
    )
    return Choice(JudgeIdentity.wordnet(run.settings.wordnet))


def _server() -> Choice | None:
    left, right = st.columns(2)
    url = (
        _widget(
            left.text_input,
            "Base URL",
            "url",
            os.environ.get("OPENAI_BASE_URL", OPENAI_URL),
            help="The server’s address up to /v1, such as http://127.0.0.1:8000/v1 for one on this machine.",
        )
        .strip()
        .rstrip("/")
    )
    model = _widget(
        right.text_input,
        "Model",
        "model",
        "",
        placeholder="qwen2.5",
        help="The server’s own name for the language model.",
    ).strip()
    _widget(
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
    in_flight = _widget(
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
        rate = _widget(
            first.number_input, "Questions a minute, at most", "rate", 0, min_value=0, help="0: as fast as it goes."
        )
        sent = _widget(second.number_input, "Price of a million tokens sent", "sent", 0.0, min_value=0.0, format="%.3f")
        received = _widget(
            third.number_input, "Price of a million received", "received", 0.0, min_value=0.0, format="%.3f"
        )
    if not model or not url:
        st.info("Give the server’s base URL and the name of its model.")
        return None
    if "@" in url or "?" in url:  # the address is kept with every verdict
        st.error("The base URL carries credentials or parameters. Type the key into its own field.")
        return None
    if url == OPENAI_URL and not api_key():
        st.info("OpenAI needs a key: set OPENAI_API_KEY, or type it above.")
        return None
    prices = (sent, received) if sent or received else None
    return Choice(JudgeIdentity.openai(model, url), int(in_flight), float(rate) or None, prices)


def _log(run: Run) -> Choice | None:
    sources = [name for name in run_names() if name != run.name] + [FOLDER]
    source = _widget(st.selectbox, "Repeat the answers of", "source", sources[0], options=sources)
    if source == FOLDER:
        source = _widget(
            st.text_input, "Folder", "folder", "", help="It holds llm_process_noun.txt and llm_process_adj.txt."
        ).strip()
    if not source:
        st.info("Give the folder of a published run.")
        return None
    return Choice(JudgeIdentity.replay(source))


def _widget(make: Callable[..., object], label: str, name: str, default: Value, **arguments: Any) -> Value:
    """A widget that shows what is kept under its name, and keeps what it is changed to."""
    kept, key = kept_form(), f"judge_{name}"
    kept.setdefault(name, default)
    if "options" in arguments and kept[name] not in arguments["options"]:
        kept[name] = default
    st.session_state[key] = kept[name]
    make(label, key=key, on_change=_keep, args=(name,), **arguments)
    value: Value = kept[name]
    return value


def _keep(name: str) -> None:
    value = st.session_state[f"judge_{name}"]
    kept_form()[name] = value
    if name == "url":
        note_server(value)
