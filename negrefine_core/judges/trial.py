"""Judges tried on labels that people decided: how far each decides alike, before thousands of questions are asked.

A trial is read from the run's log of verdicts and kept nowhere else: what a judge was asked there, it is not asked
again, in a trial or when it refines the run.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..decisions import DROPPED, KEPT, in_force
from ..errors import NegRefineError
from ..judge import JudgeIdentity, Question
from ..metrics import Figure as Figure
from ..metrics import Interval, cohen_kappa, interval
from ..negfilter import question_chains
from ..overrides import read_decisions
from ..records import Negative, Verdict
from ..run_files.doubts import Doubts
from ..runs import Run
from .decided import chains_of, decided_by
from .doubts import by_judge
from .estimate import MESSAGE_TOKENS, REPLY_TOKENS, tokens

if TYPE_CHECKING:  # torch takes seconds to import, and reading a trial needs none
    from ..encoder import Encoder

MIN_DECIDED = 20  # labels: of fewer the intervals say nothing
N_BOOTSTRAP = 1000
MEASURES = ("agreement", "kappa", "precision", "recall")


@dataclass(frozen=True)
class Standard:
    """What people decided, "kept" or "dropped", by label; `name` says whose decisions they are, and `unknown` are the
    labels of a file that are no negatives of the run."""

    name: str
    decided: Mapping[str, str]
    unknown: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """How many more labels must be decided before a judge can be tried on them."""
        return max(0, MIN_DECIDED - len(self.decided))

    @property
    def dropped(self) -> int:
        return sum(decision == DROPPED for decision in self.decided.values())

    def check(self) -> None:
        """Raise NegRefineError where too few labels are decided."""
        if self.missing:
            raise NegRefineError(
                f"{self.name}: {len(self.decided)} labels of the run are decided, and judges are tried on at least "
                f"{MIN_DECIDED}; decide on {self.missing} more (in the app on the page Judges, or with `negrefine "
                "override`)"
            )


def read_standard(run: Run, file: str | Path = "") -> Standard:
    """People's decisions in force in the run, or those of a CSV file with the columns `negative` and `decision`.

    Raises NegRefineError for a file that is no such CSV.
    """
    known = [negative.label for negative in run.reviewable]
    if not file:
        own = in_force(run.overrides)
        return Standard("the run's decisions", {label: own[label].new for label in known if label in own})
    wanted = read_decisions(file)
    unknown = tuple(label for label in wanted if label not in set(known))
    return Standard(str(file), {label: wanted[label][0] for label in known if label in wanted}, unknown)


def draw_sample(run: Run, doubts: Doubts, size: int = MIN_DECIDED, seed: int = 0) -> list[str]:
    """Labels that nobody has decided yet, in the run's order: half of them the most doubtful, the others at random."""
    decided = in_force(run.overrides)
    open_labels = [negative.label for negative in run.reviewable if negative.label not in decided]
    by_doubt = sorted(open_labels, key=lambda label: -doubts.found.get(label, (0.0, ""))[0])
    chosen = by_doubt[: (size + 1) // 2]
    rest = [label for label in open_labels if label not in set(chosen)]
    drawn = np.random.default_rng(seed).permutation(len(rest))[: size - len(chosen)]
    wanted = {*chosen, *(rest[place] for place in drawn)}
    return [label for label in open_labels if label in wanted]


def trial_chains(run: Run, labels: Collection[str], encoder: "Encoder | None") -> list[list[Question]]:
    """The questions that NegFilter asks about these labels. Of a published run (no encoder) they are those of its log,
    which end with the published yes: who says no there keeps the label."""
    negatives: list[Negative] = [negative for negative in run.reviewable if negative.label in labels]
    if encoder:
        return question_chains(encoder, negatives, run.id_labels)
    logged, _ = by_judge(run)
    verdicts = [logged.get(negative.label, []) for negative in negatives]
    return [[Question(v.negative, v.kind, v.id_label, v.similarity) for v in chain] for chain in verdicts]


@dataclass(frozen=True)
class Disagreement:
    """A label on which a judge decides otherwise than people, and the answer that decided: its yes, or its last no."""

    label: str
    people: str
    judge: str
    verdict: Verdict


@dataclass(frozen=True)
class Trial:
    """A judge on a standard of `labels` labels, of which it has `decided` so many; the figures are of these.

    `rejected` is how many of them it rejects. Precision is the share of its rejections that people dropped, recall the
    share of what people dropped that it rejects. Questions are counted with those to a panel's members; `asked` of them
    were new when it was tried. `seconds` is the sum of the replies' latencies; the tokens are as the servers counted
    them, else roughly.
    """

    judge: str
    labels: int
    decided: int
    rejected: int
    agreement: Figure
    kappa: Figure
    precision: Figure
    recall: Figure
    questions: int
    unclear: int
    malformed: int
    seconds: float
    sent_tokens: int
    received_tokens: int
    disagreements: tuple[Disagreement, ...]
    asked: int = 0

    @property
    def is_whole(self) -> bool:
        return self.decided == self.labels

    def cost(self, prices: tuple[float, float] | None) -> float | None:
        """At prices of a million tokens that are sent, and of a million that are received; None without."""
        return (self.sent_tokens * prices[0] + self.received_tokens * prices[1]) / 1e6 if prices else None


def artefacts(run: Run, standard: Standard, doubts: Doubts) -> list[str]:
    """What figures of these labels owe to how they were chosen, a sentence each; none where nothing is seen of it."""
    labels, who, notes = standard.decided, run.judge_name(run.judge), list[str]()
    rejected = len(labels.keys() & run.rejections.keys())
    if rejected in (0, len(labels)):
        did, otherwise, recall = ("rejected", "kept", 100) if rejected else ("kept", "rejected", 0)
        own = (
            f": its recall of {recall}% and kappa of 0 are so by construction"
            if 0 < standard.dropped < len(labels)
            else ""
        )
        notes.append(
            f"{who} {did} all {len(labels):,} labels{own}. How judges decide on what it {otherwise} is not seen here"
        )
    if standard.dropped in (0, len(labels)):
        did, precision = ("dropped", 100) if standard.dropped else ("kept", 0)
        notes.append(f"People {did} all {len(labels):,} labels: a precision of {precision}% is so by construction")
    doubtful = sorted(doubts.found, key=lambda label: -doubts.found[label][0])[: len(labels)]
    by_doubt = len(labels.keys() & set(doubtful))
    if by_doubt * len(run.reviewable) > 2 * len(doubtful) * len(labels):  # more than twice as many as by chance
        notes.append(
            f"{by_doubt:,} of the labels are among the {len(doubtful):,} most doubtful of the run. Doubt is made of "
            f"what WordNet and other judges said against {who}, so that these labels favour those"
        )
    return notes


def trials(run: Run, standard: Standard) -> list[Trial]:
    """Every judge that has decided on labels of the standard: the whole ones before the others, the best first, which
    is by kappa, or by agreement where there is none."""
    log = [verdict for verdict in run.verdicts if verdict.negative in standard.decided]
    found = [_trial(run, standard, judge, log) for judge in dict.fromkeys(verdict.judge for verdict in log)]
    return sorted((trial for trial in found if trial.questions), key=_rank)


def trial(run: Run, standard: Standard, judge: str) -> Trial:
    """What the log says of one judge, however far it has come."""
    return _trial(run, standard, judge, [verdict for verdict in run.verdicts if verdict.negative in standard.decided])


def _rank(trial: Trial) -> tuple[bool, float, float]:
    kappa, agreement = (figure.value if figure.value is not None else -1.0 for figure in (trial.kappa, trial.agreement))
    return not trial.is_whole, -kappa, -agreement


def _trial(run: Run, standard: Standard, judge: str, log: Sequence[Verdict]) -> Trial:
    chains, own = chains_of(log, judge), decided_by(run, judge, log, standard.decided)
    lacking = set(own.lacking)
    labels = [label for label in standard.decided if label not in lacking]
    decisions = {label: DROPPED if label in own.rejections else KEPT for label in labels}
    people = np.array([standard.decided[label] == DROPPED for label in labels], dtype=bool)
    rejects = np.array([decisions[label] == DROPPED for label in labels], dtype=bool)
    figures = _figures(people, rejects)
    replies = _replies(log, judge)
    unclear = [verdict for verdict in replies if verdict.answer == "unclear"]
    return Trial(
        judge=judge,
        labels=len(standard.decided),
        decided=len(labels),
        rejected=int(rejects.sum()),
        agreement=figures["agreement"],
        kappa=figures["kappa"],
        precision=figures["precision"],
        recall=figures["recall"],
        questions=len(replies),
        unclear=len(unclear),
        malformed=sum(verdict.malformed for verdict in unclear),
        seconds=sum(verdict.latency for verdict in replies),
        sent_tokens=sum(_sent(verdict) for verdict in replies),
        received_tokens=sum(verdict.completion_tokens or REPLY_TOKENS for verdict in replies),
        disagreements=tuple(
            Disagreement(
                label,
                standard.decided[label],
                decisions[label],
                own.rejections.get(label) or list(chains[label].values())[-1],
            )
            for label in labels
            if decisions[label] != standard.decided[label]
        ),
    )


def _replies(log: Iterable[Verdict], judge: str) -> list[Verdict]:
    """The answers of who is asked: the judge itself, or a panel's members on what the panel was asked."""
    members = JudgeIdentity.parse(judge).members or (judge,)
    asked = {subject for chain in chains_of(log, judge).values() for subject in chain}
    found = {(v.judge, v.subject): v for v in log if v.judge in members and v.kind != "same"}
    return [verdict for (_, subject), verdict in found.items() if subject in asked]


def _sent(verdict: Verdict) -> int:
    return verdict.prompt_tokens or (MESSAGE_TOKENS + tokens(verdict.prompt))


def _figures(people: NDArray[np.bool_], rejects: NDArray[np.bool_], seed: int = 0) -> dict[str, Figure]:
    """The measures of whether people and a judge reject each label (n,), with bootstrap intervals over the labels:
    resamples in which a measure is undefined are left out of its interval, and where all agree there is none."""
    whys = dict.fromkeys(MEASURES, "")
    if not len(people):
        return {name: Figure(None, why="no label is decided yet") for name in MEASURES}
    if people.all() or not people.any():
        whys["kappa"] = (
            f"people {DROPPED if people.all() else KEPT} every label, so there is no agreement beyond chance: decide "
            "some labels the other way"
        )
    if not rejects.any():
        whys["precision"] = "the judge rejects none of the labels"
    if not people.any():
        whys["recall"] = "people dropped none of the labels"
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(people), size=(N_BOOTSTRAP, len(people)))  # (draws, n)
    values, draws = _measures(people, rejects), _measures(people[drawn], rejects[drawn])
    figures = {}
    for name in MEASURES:
        defined = draws[name][~np.isnan(draws[name])]
        value = float(values[name])
        figures[name] = Figure(None, why=whys[name]) if np.isnan(value) else Figure(value, _spread(defined))
    return figures


def _spread(draws: NDArray[np.float64]) -> Interval | None:
    """The resamples' interval; None where all are the same, which says nothing of how sure the figure is."""
    return interval(draws) if np.ptp(draws) > 0 else None


def _measures(people: NDArray[np.bool_], rejects: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Each measure over the last axis; nan where it is undefined."""
    both = (people & rejects).mean(axis=-1)
    alike = (people == rejects).mean(axis=-1)
    p, r = people.mean(axis=-1), rejects.mean(axis=-1)
    kappa = np.where((p > 0) & (p < 1), cohen_kappa(people, rejects), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"agreement": alike, "kappa": kappa, "precision": both / r, "recall": both / p}
