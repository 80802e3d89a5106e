"""Prompt sets: the words in which NegFilter's questions are put to a language model (paper, section 4.1)."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal

from pydantic import ConfigDict

from .errors import NegRefineError
from .records import Kind

Answered = Literal["yes", "no"]

NEEDED = {"proper_noun": ("negative",), "subcategory": ("negative", "id_label")}  # placeholders, by template
ALLOWED = {
    "system": (),
    "proper_noun": ("negative", "negative_meaning"),
    "subcategory": ("negative", "negative_meaning", "id_label", "id_meaning"),
}
LONGEST = 10_000  # characters of a text
_PLACEHOLDER = re.compile(r"{([A-Za-z_]+)}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Example:
    """A question that a person has answered, shown to the model before its own."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    negative: str
    kind: Kind
    id_label: str | None
    answer: Answered


@dataclass(frozen=True)
class PromptSet:
    """A system message and a template for each kind of question.

    In the templates `{negative}` and `{id_label}` stand for the two words, `{negative_meaning}` and `{id_meaning}` for
    their definitions. `shows` is of how many of a person's decisions on questions of the same kind the model is shown,
    at most, and `examples` are those it chooses from. `is_structured` asks the server to allow Yes and No alone.

    Raises NegRefineError where a template lacks a placeholder that it needs, or has one that nothing stands for.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    system: str
    proper_noun: str
    subcategory: str
    is_structured: bool = False
    shows: int = 0
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NegRefineError(
                f"{self.name[:60]!r} cannot name a prompt set; use small letters, digits, '-' and '_', at most 40"
            )
        for template in ALLOWED:
            self._check(template, getattr(self, template))

    @property
    def version(self) -> str:
        """The name, and for a set that may be edited what tells its texts from others of that name."""
        if BUILT_IN.get(self.name) == self:
            return self.name
        texts = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return f"{self.name}-{hashlib.blake2b(texts.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"

    @property
    def tells_meanings(self) -> bool:
        return "_meaning}" in self.proper_noun + self.subcategory

    @property
    def adds(self) -> str:
        """What the model is told beside the two words; empty where it is nothing."""
        shows = f"up to {self.shows} decisions of yours" if self.shows else ""
        return " and ".join(filter(None, ("their definitions" if self.tells_meanings else "", shows)))

    def prompt(
        self, kind: Kind, negative: str, id_label: str | None, negative_meaning: str = "", id_meaning: str = ""
    ) -> str:
        """A question's words; empty for "same", which compares two words and asks nobody."""
        if kind == "same":
            return ""
        values = {
            "negative": negative,
            "id_label": id_label or "",
            "negative_meaning": negative_meaning,
            "id_meaning": id_meaning,
        }
        template = self.proper_noun if kind == "proper noun" else self.subcategory
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)  # at once: a word may itself hold braces

    def shown(self, kind: Kind, negative: str) -> tuple[Example, ...]:
        """The examples for a question of this kind; never the decision on the negative that is asked about."""
        fitting = [example for example in self.examples if example.kind == kind and example.negative != negative]
        return tuple(fitting[: self.shows])

    def _check(self, template: str, text: str) -> None:
        where = f"the prompt set {self.name!r}, {template.replace('_', ' ')}"
        if len(text) > LONGEST:
            raise NegRefineError(f"{where}: it has {len(text):,} characters; write at most {LONGEST:,}")
        found = set(_PLACEHOLDER.findall(text))
        missing = [f"{{{name}}}" for name in NEEDED.get(template, ()) if name not in found]
        if missing:
            raise NegRefineError(f"{where}: the text lacks {' and '.join(missing)}; write it where the word belongs")
        unknown = sorted(found - set(ALLOWED[template]))
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in ALLOWED[template]) or "none"
            raise NegRefineError(f"{where}: nothing stands for {{{unknown[0]}}} there; the placeholders are: {known}")


PAPER = PromptSet(
    name="paper",
    system="You are a helpful assistant. Answering only Yes/No.",
    proper_noun=(
        "Is '{negative}' a proper noun, like the name of a city, country, mountain, river, or any unique place or "
        "entity?"
    ),
    subcategory="Is '{negative}' a subcatgeory of '{id_label}'?",  # the paper's spelling: parity keeps it
)
GLOSSED = PromptSet(
    name="glossed",
    system="You are a careful lexicographer. Answer with Yes or No alone.",
    proper_noun=(
        "'{negative}' means: {negative_meaning}.\n"
        "Is '{negative}' a proper noun, like the name of a city, country, mountain, river, or any unique place or "
        "entity?"
    ),
    subcategory=(
        "'{negative}' means: {negative_meaning}.\n'{id_label}' means: {id_meaning}.\n"
        "In these senses, is '{negative}' a subcategory of '{id_label}', so that every '{negative}' is a '{id_label}'?"
    ),
    is_structured=True,
)
EXAMPLES = PromptSet(
    name="examples",
    system="You answer as the person did who answered the questions before. Answer with Yes or No alone.",
    proper_noun=PAPER.proper_noun,
    subcategory="Is '{negative}' a subcategory of '{id_label}'?",
    shows=8,
)
BUILT_IN = {prompts.name: prompts for prompts in (PAPER, GLOSSED, EXAMPLES)}


def with_examples(prompts: PromptSet, decided: Iterable[Example]) -> PromptSet:
    """The set with the decisions that it shows: of each kind as many yes as no, where there are, the first given first.

    Raises NegRefineError where it shows decisions and there are none.
    """
    if not prompts.shows:
        return prompts
    decided = list(decided)
    if not decided:
        raise NegRefineError(
            f"the prompt set {prompts.name!r} shows the model decisions of yours, and there are none yet; decide on "
            "some rejections first (in the app on the page Review), or choose another prompt set"
        )
    kinds: tuple[Kind, ...] = ("proper noun", "subcategory")
    chosen = [example for kind in kinds for example in _balanced(decided, kind, prompts.shows)]
    return replace(prompts, examples=tuple(chosen))


def _balanced(decided: Sequence[Example], kind: Kind, shows: int) -> list[Example]:
    """Yes and no in turn, one more than are shown: that on the negative which is asked about is left out."""
    sides = [[e for e in decided if e.kind == kind and e.answer == answer] for answer in ("yes", "no")]
    longest = max(len(side) for side in sides)
    turns = [side[place] for place in range(longest) for side in sides if place < len(side)]
    return turns[: shows + 1]
