"""The prompts of a class name as the model will read them, and how many tokens they take."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.labels import NOUN_TEMPLATES, SKETCH_TEMPLATES, fill
from negrefine_core.runs import Settings

from ..shared import background
from ..shared.words import plain


class Tokens:
    """Counts a model's tokens. `context` is how many it reads."""

    def __init__(self, model: str) -> None:
        import open_clip  # here, since torch takes seconds to import

        from negrefine_core.models import PRESETS

        self._tokenizer: Any = open_clip.get_tokenizer(PRESETS.get(model, (model, None))[0])
        self.context = int(self._tokenizer.context_length)
        self.count: Callable[[str], int] = lru_cache(maxsize=100_000)(self._count)

    def _count(self, text: str) -> int:
        if hasattr(self._tokenizer, "encode"):
            return len(self._tokenizer.encode(text)) + 2  # its start and end
        return len(self._tokenizer.tokenizer(text)["input_ids"])


def templates(settings: Settings) -> tuple[str, ...]:
    return SKETCH_TEMPLATES if settings.sketch_templates else NOUN_TEMPLATES


def tokens(settings: Settings) -> Tokens | None:
    """The counter of the settings' model; None while it loads, or where its tokenizer cannot be had."""
    try:
        return background.result(
            ("tokens", settings.model), partial(_tokens, settings.model), "Loading the model’s tokenizer …"
        )
    except NegRefineError as error:
        st.caption(plain(str(error)))
        return None


def _tokens(model: str) -> Tokens:
    try:
        return Tokens(model)
    except Exception as error:  # open_clip and its hub client raise many kinds: all mean that there is none
        raise NegRefineError(f"Tokens cannot be counted: the tokenizer of {model} cannot be had here.") from error


def longest_prompt(settings: Settings, name: str) -> str:
    return fill(max(templates(settings), key=len), name)


def preview(settings: Settings, names: list[str], counter: Tokens | None) -> None:
    """The noun templates filled with one class, live."""
    st.markdown(
        "**Prompts of a class**",
        help="CLIP reads each class in these sentences (the paper’s noun templates); a class’s text feature is their "
        "mean. Tokens are the word pieces that the model counts in.",
    )
    if not names:
        st.caption("Add a class to see its prompts.")
        return
    name = st.selectbox("Class", names, key="previewed", label_visibility="collapsed")
    rows = [{"Prompt": fill(template, name or names[0])} for template in templates(settings)]
    if counter:
        for row in rows:
            row["Tokens"] = f"{counter.count(row['Prompt'])} of {counter.context}"
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt=f"The prompts of the class {name}")
