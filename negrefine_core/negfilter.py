"""NegFilter: a judge rejects negatives that are proper nouns or subcategories of an ID class (paper, section 4.1)."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from .judge import Judge, Kind, Question, Reply
from .records import Negative
from .records import Verdict as Verdict

if TYPE_CHECKING:  # torch and open_clip take seconds to import, and a review of verdicts needs neither
    from .encoder import Encoder, Progress

T = TypeVar("T")

N_NEAREST = 10  # paper: the ID labels asked about, by similarity of the bare text features
MIN_CHARACTERS = 3
GRACE = 5.0


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


def question_chains(
    encoder: "Encoder", negatives: Sequence[Negative], id_labels: Sequence[str]
) -> list[list[Question]]:
    """Each negative's questions in order: proper noun first, then its 10 most similar ID labels (all, if fewer)."""
    id_features = encoder.encode_texts(id_labels)  # (P, D)
    features = encoder.encode_texts([negative.label for negative in negatives])  # (N, D)
    chains = []
    for negative, row in zip(negatives, features, strict=True):
        nearest = (id_features @ row).topk(min(N_NEAREST, len(id_labels)))  # (10,)
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

    def __init__(self, judge: Judge, encoder: "Encoder") -> None:
        self.judge, self.encoder = judge, encoder

    def run(
        self,
        negatives: Sequence[Negative],
        id_labels: Sequence[str],
        known: Mapping[str, Verdict] | None = None,
        on_verdict: Callable[[Verdict], None] | None = None,
        progress: "Progress | None" = None,
    ) -> Filtered:
        """Filter mined negatives (cleaned first) against the ID labels.

        `known` holds this judge's earlier verdicts by prompt ("same" verdicts by negative): those questions are not
        asked again. `on_verdict` is
        called with each new verdict as soon as it is known. Works inside a running event loop (Jupyter) too.
        """
        cleaned = clean_negatives(negatives)
        chains = question_chains(self.encoder, cleaned, id_labels)
        judged = judge_chains(self.judge, chains, known, on_verdict, progress)
        kept = tuple(negative for negative, chain in zip(cleaned, judged, strict=True) if not _rejected(chain))
        rejected = tuple(chain[-1] for chain in judged if _rejected(chain))
        return Filtered(kept, rejected, tuple(verdict for chain in judged for verdict in chain))


def judge_chains(
    judge: Judge,
    chains: Sequence[Sequence[Question]],
    known: Mapping[str, Verdict] | None = None,
    on_verdict: Callable[[Verdict], None] | None = None,
    progress: "Progress | None" = None,
) -> list[list[Verdict]]:
    """Ask a judge: `judge.concurrency` chains at once, each in order to its first yes.

    The first error (or a cancelling `progress`) ends the work: no question more is asked, and the answers in flight
    have GRACE seconds to come in, so that nothing answered is lost.
    """
    return _run_coroutine(_judge_all(judge, chains, known or {}, on_verdict or (lambda _: None), progress))


async def _judge_all(
    judge: Judge,
    chains: Sequence[Sequence[Question]],
    known: Mapping[str, Verdict],
    on_verdict: Callable[[Verdict], None],
    progress: "Progress | None",
) -> list[list[Verdict]]:
    done = 0
    results: list[list[Verdict]] = [[] for _ in chains]
    stopping = asyncio.Event()
    queue = takewhile(lambda _: not stopping.is_set(), range(len(chains)))

    async def worker() -> None:
        nonlocal done
        for index in queue:
            chain = takewhile(lambda _: not stopping.is_set(), chains[index])
            results[index] = await _judge_chain(judge, chain, known, on_verdict)
            done += 1
            if progress:
                progress(done, len(chains))

    workers: list[asyncio.Task[None]] = []
    try:
        await judge.open()
        workers = [asyncio.create_task(worker()) for _ in range(min(judge.concurrency, len(chains)))]
        await asyncio.gather(*workers)
    finally:
        stopping.set()
        if workers:
            await asyncio.wait(workers, timeout=GRACE)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await judge.close()
    return results


async def _judge_chain(
    judge: Judge, chain: Iterable[Question], known: Mapping[str, Verdict], on_verdict: Callable[[Verdict], None]
) -> list[Verdict]:
    verdicts = []
    for question in chain:
        earlier = known.get(question.prompt or question.negative)
        if earlier:
            verdict = replace(earlier, similarity=question.similarity)
        else:
            verdict = _verdict(judge, question, Reply("yes") if question.kind == "same" else await judge.ask(question))
            on_verdict(verdict)
        verdicts.append(verdict)
        if verdict.answer == "yes":
            break
    return verdicts


def _verdict(judge: Judge, question: Question, reply: Reply) -> Verdict:
    return Verdict(
        negative=question.negative,
        kind=question.kind,
        id_label=question.id_label,
        similarity=question.similarity,
        prompt=question.prompt,
        reply=reply.text,
        answer=reply.answer,
        judge=judge.identity,
        time=reply.time or datetime.now(UTC).isoformat(timespec="seconds"),
        latency=round(reply.latency, 3),
        model=reply.model,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )


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
