"""Judges answer NegFilter's questions (paper, section 4.1): is it a proper noun, or a subcategory of a class?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .prompts import PAPER
from .records import Answer as Answer
from .records import Certainty, Subject
from .records import Kind as Kind

PUBLISHED = "published"  # the judge of imported runs, whose files do not name it
SYSTEM_PROMPT = PAPER.system


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
        return PAPER.prompt(self.kind, self.negative, self.id_label)

    @property
    def subject(self) -> Subject:
        """What is asked, in whatever words."""
        return self.negative, self.kind, self.id_label


@dataclass(frozen=True)
class Reply:
    """A judge's raw reply, how long it took in seconds, and what a language model's server says of it.

    `time` is when it was given (UTC, ISO 8601), None for now; `prompt` what was asked, None for the paper's words.
    `p_yes` is the probability of yes, where the judge gives one. A `malformed` reply was not said by the model: its
    text is the beginning of what the server sent instead.
    """

    text: str
    latency: float = 0.0
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    time: str | None = None
    malformed: bool = False
    prompt: str | None = None
    p_yes: float | None = None
    p_yes_from: Certainty | None = None

    @property
    def answer(self) -> Answer:
        """Yes = the reply, lower-cased, starts with "yes"; neither yes nor no is unclear, and counts as no."""
        if self.malformed:
            return "unclear"
        text = self.text.strip().lower()
        if text.startswith("yes"):
            return "yes"
        return "no" if text.startswith("no") else "unclear"


@dataclass(frozen=True)
class JudgeIdentity:
    """Who answered, in the form that runs, verdicts and the command line write: `wordnet`, `wordnet:SOURCE`,
    `openai:MODEL@URL`, `replay:RUN`, `replay:FOLDER`, `panel:RULE(JUDGE, JUDGE)`, `published`. `detail` is what follows
    the colon; `prompts` the version of the prompt set, where it is not the paper's: `openai+glossed:MODEL@URL`."""

    kind: str
    detail: str = ""
    prompts: str = PAPER.name

    @classmethod
    def parse(cls, text: str) -> "JudgeIdentity":
        head, _, detail = text.partition(":")
        kind, _, prompts = head.partition("+")
        return cls(kind, detail, prompts or PAPER.name)

    @classmethod
    def wordnet(cls, source: str = "bundled") -> "JudgeIdentity":
        return cls("wordnet", "" if source == "bundled" else source)

    @classmethod
    def openai(cls, model: str, url: str, prompts: str = PAPER.name) -> "JudgeIdentity":
        return cls("openai", f"{model}@{url}", prompts)

    @classmethod
    def replay(cls, source: str) -> "JudgeIdentity":
        return cls("replay", source)

    @classmethod
    def panel(cls, rule: str, members: Iterable[str]) -> "JudgeIdentity":
        quoted = (member.replace("%", "%25").replace(",", "%2C") for member in members)
        return cls("panel", f"{rule}({', '.join(quoted)})")

    def __str__(self) -> str:
        head = self.kind if self.prompts == PAPER.name else f"{self.kind}+{self.prompts}"
        return f"{head}:{self.detail}" if self.detail else head

    @property
    def short(self) -> str:
        """For the head of a column: language models without their servers."""
        if self.members:
            inside = [JudgeIdentity.parse(member) for member in self.members]
            names = [str(member) if member.kind == "panel" else member.short for member in inside]  # there is none
            return f"panel:{self.rule}({', '.join(names)})"
        if self.kind != "openai":
            return str(self)
        return self.model if self.prompts == PAPER.name else f"{self.model} ({self.prompts})"

    @property
    def rule(self) -> str:
        """How a panel decides."""
        return self.detail.partition("(")[0]

    @property
    def members(self) -> tuple[str, ...]:
        """The identities of a panel's judges; empty for any other."""
        inside = self.detail.partition("(")[2].removesuffix(")") if self.kind == "panel" else ""
        parts = (part.strip().replace("%2C", ",").replace("%25", "%") for part in inside.split(","))
        return tuple(part for part in parts if part)

    @property
    def servers(self) -> list[str]:
        """Where its questions are sent: a language model's server, or those of a panel's language models."""
        asked = [JudgeIdentity.parse(member) for member in self.members] or [self]
        return list(dict.fromkeys(each.url for each in asked if each.kind == "openai" and each.url))

    @property
    def model(self) -> str:
        """The language model's name; a URL has no @, a name may."""
        return self.detail.rpartition("@")[0]

    @property
    def url(self) -> str:
        """The language model's server."""
        return self.detail.rpartition("@")[2]


@dataclass(frozen=True)
class Wait:
    """For how many seconds no answer has come from whom, and how many questions are asked."""

    whom: str
    seconds: int
    in_flight: int

    def __str__(self) -> str:
        noun = "question" if self.in_flight == 1 else "questions"
        return f"waiting for {self.whom}, {self.seconds} s, {self.in_flight} {noun} in flight"


class Judge(Protocol):
    """Who answers. Judges of equal `identity` answer alike: a new rule or model needs a new one. `concurrency` labels
    are judged at once; `open` comes before the first question and `close` after the last, in one event loop."""

    identity: str
    concurrency: int

    async def open(self) -> None: ...

    async def ask(self, question: Question) -> Reply: ...

    async def close(self) -> None: ...


@runtime_checkable
class Panel(Judge, Protocol):
    """Judges that decide together. `decide` makes one reply of their answers, None being one that was not given."""

    members: Sequence[Judge]

    def decide(self, votes: Sequence[Answer | None]) -> Reply: ...
