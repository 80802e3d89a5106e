"""What the steps hand to each other and a run keeps: mined negatives, verdicts, a person's overrides, reviews
and marks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import ConfigDict

PartOfSpeech = Literal["noun", "adjective"]
Kind = Literal["proper noun", "subcategory", "same"]
Answer = Literal["yes", "no", "unclear"]
Certainty = Literal["first token", "votes"]  # what P(yes) is worked out from
Subject = tuple[str, Kind, str | None]  # what a question is about, in whatever words: negative, kind, ID label


@dataclass(frozen=True)
class Negative:
    """A negative label; `similarity` is the cosine by which it was mined (lower = more distant from the ID labels)."""

    label: str
    pos: PartOfSpeech
    similarity: float


@dataclass(frozen=True)
class Verdict:
    """One question answered: the evidence behind a rejection. `time` is UTC, `latency` in seconds.

    `model` and the token counts are what a language model's server said of the reply. A `malformed` one was not said by
    the model: it counts as unclear, and is asked for again when the run is refined again. `prompts` is the version of
    the prompt set. `p_yes` is the judge's own probability of yes, and `p_yes_from` what that is worked out from; None
    where it gives none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    negative: str
    kind: Kind
    id_label: str | None
    similarity: float | None
    prompt: str
    reply: str
    answer: Answer
    judge: str
    time: str
    latency: float
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    malformed: bool = False
    prompts: str = "paper"
    p_yes: float | None = None
    p_yes_from: Certainty | None = None

    @property
    def subject(self) -> Subject:
        return self.negative, self.kind, self.id_label


@dataclass(frozen=True)
class Reason:
    """Why a judge answered a question as it did, in its own words; asked for after the answer. `time` is UTC."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    negative: str
    kind: Kind
    id_label: str | None
    answer: Answer
    judge: str
    text: str
    time: str
    latency: float
    model: str | None = None

    @property
    def subject(self) -> Subject:
        return self.negative, self.kind, self.id_label


@dataclass(frozen=True)
class Override:
    """A person's decision on a negative; `old` and `new` are "kept" or "dropped".

    `number` is the line's name in `overrides.jsonl`, counted upwards; an undo is the inverse decision, with the number
    of the line that it `undoes`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    negative: str
    old: str
    new: str
    reason: str
    who: str
    time: str
    undoes: int | None = None
    number: int = 0


@dataclass(frozen=True)
class Review:
    """A person's own decision on a negative, "kept" or "dropped", which the run does not follow until it is merged.

    `until` is the number that the next line of `overrides.jsonl` had then. `number` is the line's name in
    `reviews.jsonl`, counted upwards; a line that `undoes` another says again what that one said.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    negative: str
    decision: str
    reason: str
    who: str
    time: str
    until: int
    undoes: int | None = None
    number: int = 0


@dataclass(frozen=True)
class Mark:
    """A person's word on what a picture shows: one of the ID classes (`is_id`) or none of them.

    `id_label` names the class, and is empty where the person did not say which; `not_label` is one that it was said not
    to be. `content` is the hash of the picture's
    file: another picture under the same name is not marked. `number` is the line's name in `marks.jsonl`, counted
    upwards; a line that `undoes` another says again what that one said.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    image_set: str
    path: str
    content: str
    is_id: bool
    id_label: str
    who: str
    time: str
    undoes: int | None = None
    number: int = 0
    not_label: str = ""

    @property
    def side(self) -> Literal["ID", "OOD"]:
        return "ID" if self.is_id else "OOD"


def now() -> str:
    """The time as a record keeps it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
