"""NegFilter: a judge rejects negatives that are proper nouns or subcategories of an ID class (paper, section 4.1)."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import torch

from .encoder import Encoder, Progress
from .judge import Answer, Judge, Kind, Question, Reply
from .mining import Negative

T = TypeVar("T")

N_NEAREST = 10  # paper: the ID labels asked about, by similarity of the bare text features
MIN_CHARACTERS = 3


@dataclass(frozen=True)
class Verdict:
    """One question answered: the evidence behind a rejection. `time` is UTC, `latency` in seconds."""

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


@dataclass(frozen=True)
class Filtered:
    """The negatives that stay, in mined order, and every verdict of the labels' question chains, in their order."""

    kept: tuple[Negative, ...]
    rejected: tuple[Verdict, ...]
    verdicts: tuple[Verdict, ...]


def clean_negatives(negatives: Iterable[Negative]) -> list[Negative]:
    """Keep letters, `_`, `-` and spaces; drop labels then under 3 characters; deduplicate, keeping the order."""
    cleaned: dict[str, Negative] = {}
    for negative in negatives:
        label = re.sub(r"[^A-Za-z_\- ]", "", negative.label)
        if len(label) >= MIN_CHARACTERS:
            cleaned.setdefault(label, replace(negative, label=label))
    return list(cleaned.values())


def question_chains(encoder: Encoder, negatives: Sequence[Negative], id_labels: Sequence[str]) -> list[list[Question]]:
    """Each negative's questions in order: proper noun first, then its 10 most similar ID labels (all, if fewer)."""
    id_features = encoder.encode_texts(id_labels)  # (P, D)
    features = encoder.encode_texts([negative.label for negative in negatives])  # (N, D)
    chains = []
    for negative, row in zip(negatives, torch.split(features, 1), strict=True):
        nearest = torch.topk((row @ id_features.T)[0], min(N_NEAREST, len(id_labels)))  # (10,)
        chain = [Question(negative.label, "proper noun")]
        for similarity, index in zip(nearest.values.tolist(), nearest.indices.tolist(), strict=True):
            label = id_labels[index]
            kind: Kind = "same" if negative.label.casefold() == label.casefold() else "subcategory"
            chain.append(Question(negative.label, kind, label, round(similarity, 6)))
        chains.append(chain)
    return chains


class NegFilter:
    """Asks a judge about every negative, many labels at once, the questions of one label in order to its first yes.

    Args:
        judge: answers the questions; every answer is a `Verdict`.
        encoder: finds each negative's nearest ID labels.
    """

    def __init__(self, judge: Judge, encoder: Encoder) -> None:
        self.judge, self.encoder = judge, encoder

    def run(
        self,
        negatives: Sequence[Negative],
        id_labels: Sequence[str],
        known: Mapping[str, Verdict] | None = None,
        on_verdict: Callable[[Verdict], None] | None = None,
        progress: Progress | None = None,
    ) -> Filtered:
        """Filter mined negatives (cleaned first) against the ID labels.

        `known` holds this judge's earlier verdicts by prompt: those questions are not asked again. `on_verdict` is
        called with each new verdict as soon as it is known. Works inside a running event loop (Jupyter) too.
        """
        cleaned = clean_negatives(negatives)
        chains = question_chains(self.encoder, cleaned, id_labels)
        judged = _run_coroutine(self._judge_all(chains, known or {}, on_verdict or (lambda _: None), progress))
        kept = tuple(negative for negative, chain in zip(cleaned, judged, strict=True) if not _rejected(chain))
        rejected = tuple(chain[-1] for chain in judged if _rejected(chain))
        return Filtered(kept, rejected, tuple(verdict for chain in judged for verdict in chain))

    async def _judge_all(
        self,
        chains: Sequence[Sequence[Question]],
        known: Mapping[str, Verdict],
        on_verdict: Callable[[Verdict], None],
        progress: Progress | None,
    ) -> list[list[Verdict]]:
        done = 0
        results: list[list[Verdict]] = [[] for _ in chains]
        queue = iter(range(len(chains)))

        async def worker() -> None:
            nonlocal done
            for index in queue:
                results[index] = await self._judge_chain(chains[index], known, on_verdict)
                done += 1
                if progress:
                    progress(done, len(chains))

        await asyncio.gather(*(worker() for _ in range(min(self.judge.concurrency, len(chains)))))
        return results

    async def _judge_chain(
        self, chain: Sequence[Question], known: Mapping[str, Verdict], on_verdict: Callable[[Verdict], None]
    ) -> list[Verdict]:
        verdicts = []
        for question in chain:
            earlier = known.get(question.prompt) if question.prompt else None
            if earlier:
                verdict = replace(earlier, similarity=question.similarity)
            else:
                reply = Reply("yes") if question.kind == "same" else await self.judge.ask(question)
                verdict = Verdict(
                    question.negative, question.kind, question.id_label, question.similarity, question.prompt,
                    reply.text, reply.answer, self.judge.identity, datetime.now(UTC).isoformat(timespec="seconds"),
                    round(reply.latency, 3),
                )  # fmt: skip
                on_verdict(verdict)
            verdicts.append(verdict)
            if verdict.answer == "yes":
                break
        return verdicts


def _rejected(chain: Sequence[Verdict]) -> bool:
    return bool(chain) and chain[-1].answer == "yes"


def _run_coroutine(work: Coroutine[object, object, T]) -> T:
    """Run to the end; in a thread of its own where an event loop is running already, as in Jupyter."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
