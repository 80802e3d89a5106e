"""What there is to ask and what that would cost, before it is asked; and which earlier verdicts no longer apply."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ..judge import Answer, Question
from ..negfilter import Verdict
from ..records import Subject
from .wording import Wording

CHARACTERS_A_TOKEN = 4.0  # of English, roughly
MESSAGE_TOKENS = 12  # a chat's own markers
REPLY_TOKENS = 2
LATENCY = 0.5  # seconds a reply, until there are measured ones

Cause = Literal["not mined", "class removed", "not nearest"]
NOT_MINED: Final = "not mined"
CLASS_REMOVED: Final = "class removed"
NOT_NEAREST: Final = "not nearest"


@dataclass(frozen=True)
class Estimate:
    """At most `questions` to ask on `labels` negatives (a yes ends a label's questions); `cached` need no asking.

    `cost` is None without prices; `examples` are prompts word for word, as they would leave the machine.
    """

    labels: int
    questions: int
    cached: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    cost: float | None
    examples: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.amount}, {self._time}"
        return text if self.cost is None else f"{text}, {self.cost:,.2f} at your prices"

    @property
    def amount(self) -> str:
        """How much there is to ask, whenever that is answered."""
        return (
            f"at most {self.questions:,} questions on {self.labels:,} labels ({self.cached:,} are answered already), "
            f"{self.prompt_tokens:,} tokens of questions and {self.completion_tokens:,} of replies"
        )

    @property
    def _time(self) -> str:
        hours, minutes = divmod(round(self.seconds / 60), 60)
        if hours:
            return f"{hours} h {minutes} min"
        return f"{minutes} min" if minutes else f"{self.seconds:.0f} s"


def estimate(
    chains: Sequence[Sequence[Question]],
    known: Mapping[Subject, Answer],
    concurrency: int,
    rate: float | None = None,
    latency: float = LATENCY,
    prices: tuple[float, float] | None = None,
    wording: Wording | None = None,
    yes_ends: bool = True,
) -> Estimate:
    """What asking these chains would take, where `known` are the answers at hand by what was asked.

    Args:
        rate: the judge's limit in questions a minute.
        latency: seconds a reply, measured or assumed.
        prices: of a million tokens of questions, and of replies.
        wording: the paper's where it is not given.
        yes_ends: whether a known yes ends a label's questions, as it does unless the judge is one of a panel.
    """
    wording = wording or Wording()
    asked = [question for chain in chains for question in put_to_judge(chain, known, yes_ends)]
    missing = [question for question in asked if question.subject not in known]
    told = [[message["content"] for message in wording.messages(question)] for question in missing]
    sent = sum(MESSAGE_TOKENS + sum(map(tokens, texts)) for texts in told)
    received = REPLY_TOKENS * len(missing)
    seconds = max(len(missing) * latency / concurrency, len(missing) * 60 / rate if rate else 0.0)
    cost = (sent * prices[0] + received * prices[1]) / 1e6 if prices else None
    kinds = {question.kind: wording.prompt(question) for question in reversed(missing)}
    labels = len({question.negative for question in missing})
    examples = tuple(sorted(kinds.values()))
    return Estimate(labels, len(missing), len(asked) - len(missing), sent, received, seconds, cost, examples)


def put_to_judge(
    chain: Iterable[Question], known: Mapping[Subject, Answer], yes_ends: bool = True
) -> Iterator[Question]:
    """A label's questions that are put to a judge where those not `known` yet are answered no; equal words end them."""
    for question in chain:
        if question.kind == "same":
            return
        yield question
        if yes_ends and known.get(question.subject) == "yes":
            return


def next_questions(chains: Iterable[Sequence[Question]], known: Mapping[Subject, Answer]) -> list[Question]:
    """What can be asked at once, where answers take a day and `known` are those at hand: a label's first question, and
    once that is answered no all the others."""
    wanted = []
    for chain in chains:
        missing = [question for question in put_to_judge(chain, known) if question.subject not in known]
        wanted += missing[:1] if missing and missing[0].kind == "proper noun" else missing
    return wanted


def together(estimates: Sequence[Estimate]) -> Estimate:
    """What a panel's members take, who are asked at the same time."""
    costs = [each.cost for each in estimates if each.cost is not None]
    return Estimate(
        labels=max(each.labels for each in estimates),
        questions=sum(each.questions for each in estimates),
        cached=sum(each.cached for each in estimates),
        prompt_tokens=sum(each.prompt_tokens for each in estimates),
        completion_tokens=sum(each.completion_tokens for each in estimates),
        seconds=max(each.seconds for each in estimates),
        cost=sum(costs) if costs else None,
        examples=tuple(dict.fromkeys(example for each in estimates for example in each.examples)),
    )


def tokens(text: str) -> int:
    return round(len(text) / CHARACTERS_A_TOKEN)


@dataclass(frozen=True)
class StaleVerdict:
    """A verdict that no longer applies, and why: in one word for counting, and in a sentence."""

    verdict: Verdict
    cause: Cause
    reason: str


def stale_verdicts(
    verdicts: Iterable[Verdict], chains: Sequence[Sequence[Question]], id_labels: Iterable[str]
) -> list[StaleVerdict]:
    """The verdicts whose question the current chains no longer ask; their answers stay in the cache."""
    asked = {(question.negative, question.id_label) for chain in chains for question in chain}
    negatives, classes = {negative for negative, _ in asked}, set(id_labels)
    stale: list[StaleVerdict] = []
    cause: Cause
    for verdict in verdicts:
        if (verdict.negative, verdict.id_label) in asked:
            continue
        if verdict.negative not in negatives:
            cause, reason = NOT_MINED, f"{verdict.negative!r} is no longer mined"
        elif verdict.id_label not in classes:
            cause, reason = CLASS_REMOVED, f"{verdict.id_label!r} is no longer an ID class"
        else:
            cause = NOT_NEAREST
            reason = f"{verdict.id_label!r} is no longer among the nearest classes of {verdict.negative!r}"
        stale.append(StaleVerdict(verdict, cause, reason))
    return stale
