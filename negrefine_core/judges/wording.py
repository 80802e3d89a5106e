"""A question as a language model gets it: a prompt set's words, with the meanings and decisions that it shows."""

from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Literal, TypedDict

from ..judge import Question
from ..lexicon import WordNet
from ..prompts import PAPER, PromptSet

UNKNOWN = "a word that the dictionary lacks"


class Message(TypedDict):
    """One turn of a chat, as the servers take it."""

    role: Literal["system", "user", "assistant"]
    content: str


class Glossary:
    """The definitions of negatives and ID labels in WordNet: of an ID label's senses the one that the other ID labels
    suggest, by sharing their lexicographer file, else the most frequent, as of a negative's."""

    def __init__(self, id_labels: Iterable[str], wordnet: WordNet) -> None:
        self._id_labels, self._wordnet = tuple(id_labels), wordnet

    @cached_property
    def _usual_file(self) -> str:
        return self._wordnet.usual_file(self._id_labels)

    @lru_cache(maxsize=100_000)  # noqa: B019 - a glossary lives as long as its judge
    def of_negative(self, word: str) -> str:
        senses = self._wordnet.senses(word)
        return senses[0].definition if senses else UNKNOWN

    @lru_cache(maxsize=10_000)  # noqa: B019
    def of_id_label(self, label: str) -> str:
        senses = self._wordnet.senses(label, self._usual_file)
        return senses[0].definition if senses else UNKNOWN


class Wording:
    """Puts questions into a prompt set's words, for runs of these ID labels."""

    def __init__(self, prompts: PromptSet = PAPER, glossary: Glossary | None = None) -> None:
        self.prompts = prompts
        self._glossary = glossary or Glossary((), WordNet())

    def prompt(self, question: Question) -> str:
        if not self.prompts.tells_meanings or question.kind == "same":
            return self.prompts.prompt(question.kind, question.negative, question.id_label)
        return self.prompts.prompt(
            question.kind,
            question.negative,
            question.id_label,
            self._glossary.of_negative(question.negative),
            self._glossary.of_id_label(question.id_label) if question.id_label else "",
        )

    def messages(self, question: Question) -> list[Message]:
        """All that the model is told: the system message, the decisions that are shown, and the question."""
        messages: list[Message] = [{"role": "system", "content": self.prompts.system}] if self.prompts.system else []
        for example in self.prompts.shown(question.kind, question.negative):
            shown = self.prompt(Question(example.negative, example.kind, example.id_label))
            messages += [
                {"role": "user", "content": shown},
                {"role": "assistant", "content": example.answer.capitalize()},
            ]
        return [*messages, {"role": "user", "content": self.prompt(question)}]

    def text(self, question: Question) -> str:
        """The messages as one text, by which a reply is kept."""
        return "\n".join(message["content"] for message in self.messages(question))
