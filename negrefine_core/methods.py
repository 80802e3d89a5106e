"""The methods as rows: each score's column in a run's files, its name, how it is made, and of which negatives.

To add a method is to write one pure function in `scoring` and one row here. The pipeline, the benchmarks, exports and
the app read this table, and offer a score wherever a run has its column. Importing it does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from . import scoring
from .errors import NegRefineError

if TYPE_CHECKING:
    from torch import Tensor

# Which negatives a score compares with: none; the mined ones; those of the NegLabel paper's own mining; what verdicts
# and overrides left of the mined ones; what the verdicts alone left.
Negatives = Literal["none", "mined", "neglabel", "refined", "judged"]


@dataclass(frozen=True)
class Matches:
    """The K most similar ID labels and the M most similar negatives of B images, and how well their pairs match."""

    pos_sim: Tensor  # (B, K) logits, best first
    pos: Tensor  # (B, K) indices of the ID labels
    neg_sim: Tensor  # (B, M) logits, best first
    neg: Tensor  # (B, M) indices of the negatives
    pair_sim: Tensor  # (B, K, M) logits with "ID label and negative"

    def cpu(self) -> Matches:
        """The same on the CPU."""
        return Matches(self.pos_sim.cpu(), self.pos.cpu(), self.neg_sim.cpu(), self.neg.cpu(), self.pair_sim.cpu())


@dataclass(frozen=True)
class Similarities:
    """What B images are scored by: their similarities with the labels, and the score's settings."""

    pos_sim: Tensor  # (B, P) logits with the ID labels
    neg_sim: Tensor  # (B, N) logits with the negatives
    permutation: Tensor  # of the grouped negatives
    n_groups: int
    alpha: float
    mcm_temperature: float
    match: Callable[[], Matches]  # called where a score needs it: the texts of the pairs are embedded for it

    @cached_property
    def matches(self) -> Matches:
        return self.match()

    @cached_property
    def neglabel(self) -> Tensor:
        """(B,)"""
        return scoring.neglabel_score(self.pos_sim, self.neg_sim, self.n_groups, self.permutation)

    @cached_property
    def multi_matching(self) -> Tensor:
        """(B,)"""
        return scoring.multi_matching_score(self.matches.pair_sim, self.matches.neg_sim)

    @cached_property
    def negrefine(self) -> Tensor:
        """(B,)"""
        return scoring.negrefine_score(self.neglabel, self.multi_matching, self.alpha)


@dataclass(frozen=True)
class Method:
    """A score of images; higher = more in-distribution.

    `column` is its name in a run's files, `name` and `meaning` are for people. A score that is not `measured` is there
    to be looked at: metrics, exports and benchmarks leave it out.
    """

    column: str
    name: str
    meaning: str
    score: Callable[[Similarities], Tensor]  # (B,)
    negatives: Negatives
    measured: bool = True


# From the simplest to the whole; the app offers the last one first.
METHODS: tuple[Method, ...] = (
    Method(
        column="mcm",
        name="MCM",
        meaning="highest softmax share of an ID label; no negatives, temperature 1 on the raw cosine",
        score=lambda images: scoring.mcm_score(images.pos_sim, images.mcm_temperature),
        negatives="none",
    ),
    Method(
        column="mcm_scaled",
        name="MCM (T = 0.01)",
        meaning="as MCM, on CLIP’s own scale (100 × cosine)",
        score=lambda images: scoring.mcm_score(images.pos_sim, 1 / scoring.LOGIT_SCALE),
        negatives="none",
    ),
    Method(
        column="max_logit",
        name="MaxLogit",
        meaning="highest similarity (100 × cosine) with an ID label; no negatives",
        score=lambda images: scoring.max_logit_score(images.pos_sim),
        negatives="none",
    ),
    Method(
        column="energy",
        name="Energy",
        meaning="logsumexp of the similarities (100 × cosine) with the ID labels; no negatives",
        score=lambda images: scoring.energy_score(images.pos_sim),
        negatives="none",
    ),
    Method(
        column="neglabel_baseline",
        name="NegLabel",
        meaning="the NegLabel paper’s own settings",
        score=lambda images: images.neglabel,
        negatives="neglabel",
    ),
    Method(
        column="csp",
        name="CSP",
        meaning="this mining and the NegLabel score, with neither the filter nor multi-matching",
        score=lambda images: images.neglabel,
        negatives="mined",
    ),
    Method(
        column="negrefine_judged",
        name="NegRefine before overrides",
        meaning="NegRefine with the judge’s verdicts alone",
        score=lambda images: images.negrefine,
        negatives="judged",
        measured=False,
    ),
    Method(
        column="multi_matching",
        name="NegRefine: multi-matching part",
        meaning="whether “ID label and negative” fits better than the negative",
        score=lambda images: images.multi_matching,
        negatives="refined",
        measured=False,
    ),
    Method(
        column="neglabel",
        name="NegRefine: NegLabel part",
        meaning="share of the softmax mass on the ID labels against the negatives",
        score=lambda images: images.neglabel,
        negatives="refined",
        measured=False,
    ),
    Method(
        column="negrefine",
        name="NegRefine",
        meaning="NegLabel part + α × multi-matching part, on the refined negatives",
        score=lambda images: images.negrefine,
        negatives="refined",
    ),
)

DEFAULT = "negrefine"  # the column that pages start with
JUDGED = "negrefine_judged"  # and the one that shows what overrides did


def method(column: str) -> Method:
    """The row of a column. Raises NegRefineError for one that is none."""
    found = next((row for row in METHODS if row.column == column), None)
    if found is None:
        raise NegRefineError(f"no score {column!r}; there are {', '.join(row.column for row in METHODS)}")
    return found


def comparing_with(*negatives: Negatives) -> list[Method]:
    """The scores that compare with one of these kinds of negatives, the whole method first."""
    return [row for row in reversed(METHODS) if row.negatives in negatives]


def offered(*tables: Container[str]) -> list[Method]:
    """The scores that all of these tables hold, the whole method first; older tables lack the methods added since."""
    return [row for row in reversed(METHODS) if all(row.column in table for table in tables)]


def measured(*tables: Container[str]) -> list[Method]:
    """The methods of metrics, exports and benchmarks that all of these tables hold, the simplest first."""
    return [row for row in METHODS if row.measured and all(row.column in table for table in tables)]
