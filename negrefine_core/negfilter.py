"""NegFilter: a judge rejects negatives that are proper nouns or subcategories of an ID class (paper, section 4.1)."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from .errors import Cancelled, NegRefineError
from .judge import Judge, JudgeIdentity, Kind, Panel, Question, Reply, Wait
from .records import Negative, now
from .records import Verdict as Verdict

if TYPE_CHECKING:  # torch and open_clip take seconds to import, and a review of verdicts needs neither
    from .encoder import Encoder
    from .progress import Progress

T = TypeVar("T")

N_NEAREST = 10  # paper: the ID labels asked about, by similarity of the bare text features
MIN_CHARACTERS = 3
GRACE = 5.0  # seconds for the answers in flight, after an error
GRACE_CANCELLED = 0.5  # after a person has ended it
LOOK = 1.0  # seconds between two looks at whether answers come
QUIET = 5.0  # seconds without an answer until it is said who is waited for

OnWait = Callable[[Wait | None], None]  # told each second; None when answers come again


@dataclass(frozen=True)
class Filtered:
    """The negatives that stay, in mined order, and every verdict of the labels' question chains, in their order."""

    kept: tuple[Negative, ...]
    rejected: tuple[Verdict, ...]
    verdicts: tuple[Verdict, ...]


def clean_negatives(negatives: Iterable[Negative]) -> list[Negative]:
    """Keep letters of any script, `_`, `-` and spaces; drop labels then under 3 characters; deduplicate, keeping the
    order: of a noun and an adjective's phrase that are equal, the noun."""
    cleaned: dict[str, Negative] = {}
    for negative in negatives:
        label = re.sub(r"[^A-Za-z_\- ]", _if_letter, negative.label)
        if len(label) >= MIN_CHARACTERS:
            cleaned.setdefault(label, replace(negative, label=label))
    return list(cleaned.values())


def _if_letter(character: re.Match[str]) -> str:
    return character[0] if character[0].isalpha() else ""


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
        known: Iterable[Verdict] | None = None,
        on_verdict: Callable[[Verdict], None] | None = None,
        progress: "Progress | None" = None,
        on_wait: OnWait | None = None,
    ) -> Filtered:
        """Filter mined negatives (cleaned first) against the ID labels.

        `known` are earlier verdicts: what this judge, or a member of this panel, said is not asked again. `on_verdict`
        is called with each new verdict as soon as it is known; `on_wait` is told of a server that does not answer,
        which is logged otherwise. Works inside a running event loop (Jupyter) too.
        """
        cleaned = clean_negatives(negatives)
        chains = question_chains(self.encoder, cleaned, id_labels)
        judged = judge_chains(self.judge, chains, known, on_verdict, progress, on_wait)
        kept = tuple(negative for negative, chain in zip(cleaned, judged, strict=True) if not _rejected(chain))
        rejected = tuple(chain[-1] for chain in judged if _rejected(chain))
        return Filtered(kept, rejected, tuple(verdict for chain in judged for verdict in chain))


def judge_chains(
    judge: Judge,
    chains: Sequence[Sequence[Question]],
    known: Iterable[Verdict] | None = None,
    on_verdict: Callable[[Verdict], None] | None = None,
    progress: "Progress | None" = None,
    on_wait: OnWait | None = None,
) -> list[list[Verdict]]:
    """Ask a judge: `judge.concurrency` chains at once, each in order to its first yes.

    The first error (or a cancelling `progress`, which is called each second while no answer comes) ends the work: no
    question more is asked, and the answers in flight have GRACE seconds to come in, so that nothing answered is lost.
    """
    asking = _Asking(judge, known or (), on_verdict or (lambda _: None))
    say = on_wait or now_and_then(logging.getLogger(__name__).warning)
    return run_coroutine(_judge_all(asking, chains, progress, say))


def now_and_then(say: Callable[[str], None]) -> OnWait:
    """Say who is waited for once, and again whenever the wait has doubled: for who shows one line after another."""
    due = 0.0

    def on_wait(wait: Wait | None) -> None:
        nonlocal due
        if wait is None:
            due = 0.0
        elif wait.seconds >= due:
            due = 2.0 * wait.seconds
            say(str(wait))

    return on_wait


async def _judge_all(
    asking: "_Asking", chains: Sequence[Sequence[Question]], progress: "Progress | None", on_wait: OnWait
) -> list[list[Verdict]]:
    done, judge, grace = 0, asking.judge, GRACE
    results: list[list[Verdict]] = [[] for _ in chains]
    stopping = asyncio.Event()
    queue = takewhile(lambda _: not stopping.is_set(), range(len(chains)))
    workers: list[asyncio.Task[None]] = []

    async def worker() -> None:
        nonlocal done
        for index in queue:
            chain = takewhile(lambda _: not stopping.is_set(), chains[index])
            results[index] = await asking.verdicts(chain)
            done += 1
            if progress:
                progress(done, len(chains))

    async def work() -> None:
        await judge.open()
        workers.extend(asyncio.create_task(worker()) for _ in range(min(judge.concurrency, len(chains))))
        await asyncio.gather(*workers)

    async def watch() -> None:
        said = False
        while True:
            await asyncio.sleep(LOOK)
            wait = asking.wait()
            if progress and wait.seconds >= LOOK:
                progress(done, len(chains))
            if wait.seconds >= QUIET:
                on_wait(wait)
            elif said:
                on_wait(None)
            said = wait.seconds >= QUIET

    tasks = [asyncio.create_task(work()), asyncio.create_task(watch())]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    except (asyncio.CancelledError, Cancelled):
        grace = GRACE_CANCELLED
        raise
    finally:
        stopping.set()
        if workers:
            await asyncio.wait(workers, timeout=grace)
        for task in (*tasks, *workers):
            task.cancel()
        await asyncio.gather(*tasks, *workers, return_exceptions=True)
        await judge.close()
    return results


class _Asking:
    """Puts questions to a judge, and knows how many are in flight and since when no answer has come."""

    def __init__(self, judge: Judge, known: Iterable[Verdict], on_verdict: Callable[[Verdict], None]) -> None:
        self.judge, self.on_verdict = judge, on_verdict
        self._known = {(v.judge, v.subject): v for v in known if not v.malformed}
        self._whom = " and ".join(JudgeIdentity.parse(judge.identity).servers) or judge.identity
        self._in_flight = 0
        self._answered = time.monotonic()

    def wait(self) -> Wait:
        return Wait(self._whom, int(time.monotonic() - self._answered), self._in_flight)

    async def verdicts(self, chain: Iterable[Question]) -> list[Verdict]:
        """A chain's verdicts, to the first yes."""
        verdicts = []
        for question in chain:
            verdicts.append(await self._verdict(self.judge, question))
            if verdicts[-1].answer == "yes":
                break
        return verdicts

    async def _verdict(self, judge: Judge, question: Question) -> Verdict:
        """The judge's verdict, told as soon as it is there; a panel's after those of its members."""
        earlier = self._known.get((judge.identity, question.subject))
        if earlier:
            return replace(earlier, similarity=question.similarity)
        if question.kind == "same":
            reply = Reply("yes")
        elif isinstance(judge, Panel):
            votes = await self._votes(judge, question)
            reply = judge.decide([None if vote.malformed else vote.answer for vote in votes])
        else:
            reply = await self._reply(judge, question)
        verdict = _verdict(judge, question, reply)
        self.on_verdict(verdict)
        return verdict

    async def _votes(self, panel: Panel, question: Question) -> list[Verdict]:
        """Every member's verdict. Where one gives none, the others' are told all the same before that is raised."""
        asked = [self._verdict(member, question) for member in panel.members]
        votes = []
        for member, vote in zip(panel.members, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(vote, NegRefineError) and not isinstance(vote, Cancelled):
                raise NegRefineError(f"{member.identity}, of the panel, does not answer: {vote}") from vote
            if isinstance(vote, BaseException):
                raise vote
            votes.append(vote)
        return votes

    async def _reply(self, judge: Judge, question: Question) -> Reply:
        self._in_flight += 1
        try:
            return await judge.ask(question)
        finally:
            self._in_flight -= 1
            self._answered = time.monotonic()


def _verdict(judge: Judge, question: Question, reply: Reply) -> Verdict:
    return Verdict(
        negative=question.negative,
        kind=question.kind,
        id_label=question.id_label,
        similarity=question.similarity,
        prompt=question.prompt if reply.prompt is None else reply.prompt,
        reply=reply.text,
        answer=reply.answer,
        judge=judge.identity,
        time=reply.time or now(),
        latency=round(reply.latency, 3),
        model=reply.model,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        malformed=reply.malformed,
        prompts=JudgeIdentity.parse(judge.identity).prompts,
        p_yes=reply.p_yes,
        p_yes_from=reply.p_yes_from,
    )


def _rejected(chain: Sequence[Verdict]) -> bool:
    return bool(chain) and chain[-1].answer == "yes"


def run_coroutine(work: Coroutine[object, object, T]) -> T:
    """Run to the end; in a thread of its own where an event loop is running already, as in Jupyter."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    stop: list[Callable[[], object]] = []

    async def stoppable() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task:
            stop.append(partial(loop.call_soon_threadsafe, task.cancel))
        return await work

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(asyncio.run, stoppable())
        try:
            return future.result()
        except KeyboardInterrupt:  # the notebook's stop button reaches its own thread alone
            with contextlib.suppress(RuntimeError):  # it has just ended
                stop[0]()
            raise
