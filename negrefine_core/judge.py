"""Judges answer NegFilter's questions (paper, section 4.1): is it a proper noun, or a subcategory of a class?"""

from dataclasses import dataclass
from typing import Protocol

from .records import Answer as Answer
from .records import Kind as Kind

SYSTEM_PROMPT = "You are a helpful assistant. Answering only Yes/No."
PROPER_NOUN_PROMPT = (
    "Is '{negative}' a proper noun, like the name of a city, country, mountain, river, or any unique place or entity?"
)
SUBCATEGORY_PROMPT = "Is '{negative}' a subcatgeory of '{id_label}'?"  # the paper's spelling: parity keeps it


@dataclass(frozen=True)
class Question:
    """One question on one negative; `similarity` is the cosine of the bare text features with `id_label`."""

    negative: str
    kind: Kind
    id_label: str | None = None
    similarity: float | None = None

    @property
    def prompt(self) -> str:
        """The paper's words; empty for "same", which compares two words and asks nobody."""
        if self.kind == "proper noun":
            return PROPER_NOUN_PROMPT.replace("{negative}", self.negative)
        if self.kind == "subcategory":
            before, after = SUBCATEGORY_PROMPT.split("{negative}")
            return before + self.negative + after.replace("{id_label}", self.id_label or "")
        return ""


@dataclass(frozen=True)
class Reply:
    """A judge's raw reply, how long it took in seconds, and what a language model's server says of it.

    `time` is when it was given (UTC, ISO 8601), None for now.
    """

    text: str
    latency: float = 0.0
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    time: str | None = None

    @property
    def answer(self) -> Answer:
        """Yes = the reply, lower-cased, starts with "yes"; neither yes nor no is unclear, and counts as no."""
        text = self.text.strip().lower()
        if text.startswith("yes"):
            return "yes"
        return "no" if text.startswith("no") else "unclear"


class Judge(Protocol):
    """Who answers. Judges of equal `identity` answer alike: a new rule or model needs a new one. `concurrency` labels
    are judged at once; `open` comes before the first question and `close` after the last, in one event loop."""

    identity: str
    concurrency: int

    async def open(self) -> None: ...

    async def ask(self, question: Question) -> Reply: ...

    async def close(self) -> None: ...
