"""OOD detection metrics. ID is the positive class and a higher score means more ID, unless said otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .errors import NegRefineError
from .progress import Progress

RECALL = 0.95
DRAWN_TOGETHER = 1 << 15  # images of bootstrap samples: their counts stay in the processor's cache
AVERAGE = "average"  # stands where an OOD set's name does
Convention = Literal["id-positive", "ood-positive", "pytorch-ood"]


@dataclass(frozen=True)
class OODMetrics:
    """`threshold95` is the score at FPR@95: an image at or above it counts as positive."""

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95: float
    threshold95: float


def ood_metrics(id_scores: ArrayLike, ood_scores: ArrayLike, convention: Convention = "id-positive") -> OODMetrics:
    """AUROC, AUPR-in, AUPR-out and FPR@95 of ID and OOD scores (any lengths; higher = more ID).

    `ood-positive` turns FPR@95 round: the share of ID images flagged where 95% of the OOD images are, a different
    number; AUROC is the same, AUPR-in and AUPR-out keep their meaning. `pytorch-ood` is what its `OODMetrics` give: OOD
    positive too, but FPR@95 at the first recall of at least 95%, not the nearest, and the AUPRs by trapezoids.

    Raises NegRefineError for an empty or non-finite list of scores, and for another convention.
    """
    _check_convention(convention)
    from sklearn.metrics import average_precision_score, roc_auc_score  # here: it takes seconds to import

    area = _area_by_trapezoids if convention == "pytorch-ood" else average_precision_score
    inside, outside = _checked(id_scores, "ID"), _checked(ood_scores, "OOD")
    scores = np.concatenate([inside, outside])  # (n,)
    is_id = np.arange(len(scores)) < len(inside)  # (n,)
    if convention == "id-positive":
        fpr95, threshold = fpr_at_recall(inside, outside)
    else:
        at = fpr_from_recall if convention == "pytorch-ood" else fpr_at_recall
        fpr95, threshold = at(-outside, -inside)
        threshold = -threshold
    return OODMetrics(
        auroc=float(roc_auc_score(is_id, scores)),
        aupr_in=float(area(is_id, scores)),
        aupr_out=float(area(~is_id, -scores)),
        fpr95=fpr95,
        threshold95=threshold,
    )


def fpr_at_recall(positive: ArrayLike, negative: ArrayLike, recall: float = RECALL) -> tuple[float, float]:
    """(FPR, threshold) where the recall is nearest to `recall`.

    Thresholds are the scores that occur, down to the lowest positive one; of several with the same recall the lowest
    counts, as in the published code.
    """
    inside, outside = np.sort(np.asarray(positive, float)), np.asarray(negative, float)
    values, first = np.unique(inside, return_index=True)
    recalls = (len(inside) - first) / len(inside)  # at each ID score; other thresholds have the next one's
    best = int(np.argmin(np.abs(recalls - recall)))  # the first, so the lowest threshold
    threshold = float(values[best])
    if best and (lower := outside[(outside > values[best - 1]) & (outside < threshold)]).size:
        threshold = float(lower.min())
    return float((outside >= threshold).sum() / max(len(outside), 1)), threshold


def fpr_from_recall(positive: ArrayLike, negative: ArrayLike, recall: float = RECALL) -> tuple[float, float]:
    """(FPR, threshold) at the highest threshold whose recall is at least `recall`."""
    inside, outside = np.sort(np.asarray(positive, float)), np.sort(np.asarray(negative, float))
    threshold = _first_threshold(inside, recall)
    return float(_share_from(outside, threshold)), threshold


def _first_threshold(ascending: NDArray[np.float64], recall: float = RECALL) -> float:
    """The highest of sorted scores that at least this share of them reaches."""
    recalls = np.arange(1, len(ascending) + 1) / len(ascending)
    return float(ascending[-1 - int(np.searchsorted(recalls, recall))])


def _area_by_trapezoids(is_positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    from sklearn.metrics import auc, precision_recall_curve  # here: it takes seconds to import

    precision, recall, _ = precision_recall_curve(is_positive, scores)
    return float(auc(recall, precision))


def _check_convention(name: str) -> None:
    if name not in get_args(Convention):
        raise NegRefineError(f"no convention {name!r} of the metrics; there are {', '.join(get_args(Convention))}")


def _share_from(ascending: NDArray[np.float64], threshold: Any) -> Any:
    """The share of sorted scores at or above each threshold; 0 of none."""
    return (len(ascending) - np.searchsorted(ascending, threshold, side="left")) / max(len(ascending), 1)


def _checked(scores: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(scores, dtype=np.float64).ravel()
    if len(array) == 0 or not np.isfinite(array).all():
        raise NegRefineError(f"metrics need {name} scores that are finite numbers, and at least one; got {len(array)}")
    return array


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


def interval(draws: NDArray[np.float64], level: float = 0.95) -> Interval:
    """The percentile interval of resampled values (n,)."""
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Figure:
    """A share or kappa with its 95% interval; without a value `why` says what it lacks."""

    value: float | None
    bounds: Interval | None = None
    why: str = ""


def cohen_kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far two agree beyond chance in what they say yes to, over the last axis; nan where both say but one thing."""
    alike = (first == second).mean(axis=-1)
    p, q = first.mean(axis=-1), second.mean(axis=-1)
    chance = p * q + (1 - p) * (1 - q)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.where(chance < 1, np.round((alike - chance) / (1 - chance), 12) + 0.0, np.nan)
    return found  # + 0.0: no -0.00


def auroc_interval(auroc: float, n_id: int, n_ood: int) -> Interval:
    """The 95% interval of an AUROC of few images; where none of them overlap it is no point, as resampling makes it.

    Newcombe (Statistics in Medicine 25, 2006, 559-573), method 5: the values from which the AUROC lies no further than
    1.96 of Hanley and McNeil's standard errors at that value, with both counts in it replaced by their mean.
    """
    return Interval(_lowest_auroc(auroc, n_id, n_ood), 1 - _lowest_auroc(1 - auroc, n_id, n_ood))


def _lowest_auroc(auroc: float, n_id: int, n_ood: int) -> float:
    from scipy.optimize import brentq  # here: it takes a second to import

    others = (n_id + n_ood) / 2 - 1

    def beyond(value: float) -> float:
        """How much further off the AUROC lies than chance explains."""
        spread = 1 + others * ((1 - value) / (2 - value) + value / (1 + value))
        return (auroc - value) ** 2 - 1.96**2 * value * (1 - value) * spread / (n_id * n_ood)

    near = auroc - 1e-9  # at 1 there is no variance
    return float(brentq(beyond, 0, near)) if near > 0 else 0.0


def bootstrap_draws(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    n: int = 1000,
    seed: int = 0,
    stream: int = 0,
    convention: Convention = "id-positive",
) -> dict[str, NDArray[np.float64]]:
    """(n,) values of `auroc` and `fpr95` on one OOD set, images resampled with replacement.

    The resamples depend on the seeds and the set sizes alone, so that the draws of two methods on the same images
    can be subtracted; the ID ones do not depend on `stream`, so that those of several OOD sets, one stream each, can
    be averaged.

    Raises NegRefineError as `ood_metrics` does.
    """
    _check_convention(convention)
    inside, outside = _checked(id_scores, "ID"), _checked(ood_scores, "OOD")
    id_generator, ood_generator = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1 + stream])
    ids, id_of = np.unique(inside, return_inverse=True)  # (I,) the distinct scores, and (n_id,) which one each has
    oods, ood_of = np.unique(outside, return_inverse=True)  # (O,), (n_ood,)
    lower, upper = np.searchsorted(oods, ids), np.searchsorted(oods, ids, "right")  # (I,) OOD scores below each
    draws = {"auroc": np.empty(n), "fpr95": np.empty(n)}
    together = max(1, DRAWN_TOGETHER // (len(inside) + len(outside)))
    for start in range(0, n, together):
        part = slice(start, min(start + together, n))
        id_counts = _resampled(id_generator, id_of, part.stop - start, len(ids))  # (b, I)
        ood_counts = _resampled(ood_generator, ood_of, part.stop - start, len(oods))  # (b, O)
        below = np.pad(np.cumsum(ood_counts, axis=1), ((0, 0), (1, 0)))  # (b, O + 1) OOD images below each score
        under, upto = np.take(below, lower, axis=1), np.take(below, upper, axis=1)  # (b, I) and below each ID score
        draws["auroc"][part] = (id_counts * (under + upto)).sum(axis=1) / len(inside) / 2 / len(outside)
        if convention == "id-positive":
            draws["fpr95"][part] = _fpr95_of_counts(id_counts, under, upto, len(outside))
        else:
            for draw, counts in enumerate(zip(id_counts, ood_counts, strict=True), start):
                draws["fpr95"][draw] = _fpr95(np.repeat(ids, counts[0]), np.repeat(oods, counts[1]), convention)
    return draws


def _resampled(generator: np.random.Generator, score_of: NDArray[np.int64], n: int, scores: int) -> NDArray[np.int64]:
    """(n, scores) how often each distinct score is in each resample: nothing has to be sorted."""
    drawn = score_of[generator.integers(len(score_of), size=(n, len(score_of)))]  # (n, images)
    drawn += scores * np.arange(n)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * scores).reshape(n, scores)


def _fpr95_of_counts(
    id_counts: NDArray[np.int64], under: NDArray[np.int64], upto: NDArray[np.int64], n_ood: int
) -> NDArray[np.float64]:
    """(b,) FPR@95 of resamples: how often each ID score (b, I) is in them, and how many OOD images lie under it and up
    to it."""
    rows, scores = np.arange(len(id_counts)), np.arange(id_counts.shape[1])
    n_id = id_counts[0].sum()
    recalls = (n_id - np.cumsum(id_counts, axis=1) + id_counts) / n_id  # (b, I)
    best = np.where(id_counts, np.abs(recalls - RECALL), np.inf).argmin(axis=1)  # (b,)
    # The lowest threshold with that recall lies just above the ID score before it.
    before = np.where((id_counts > 0) & (scores < best[:, None]), scores, -1).max(axis=1)  # (b,)
    missed = np.where(before < 0, under[rows, best], upto[rows, before])
    fpr95: NDArray[np.float64] = (n_ood - missed) / n_ood
    return fpr95


def _auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """AUROC of sorted scores: the share of (ID, OOD) pairs in order, ties counting half."""
    below = np.searchsorted(outside, inside, side="left") + np.searchsorted(outside, inside, side="right")
    return float(below.mean() / 2 / len(outside))


def _fpr95(inside: NDArray[np.float64], outside: NDArray[np.float64], convention: Convention) -> float:
    """FPR@95 of sorted scores."""
    if convention == "id-positive":
        return _nearest_fpr95(inside, outside)
    positive, negative = -outside[::-1], -inside[::-1]
    if convention == "ood-positive":
        return _nearest_fpr95(positive, negative)
    return float(_share_from(negative, _first_threshold(positive)))


def _nearest_fpr95(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """`fpr_at_recall` of sorted scores, without listing the OOD scores as thresholds: they cannot change the recall."""
    values, first = np.unique(inside, return_index=True)
    recalls = (len(inside) - first) / len(inside)  # recall at each ID score
    best = int(np.argmin(np.abs(recalls - RECALL)))
    # The lowest threshold with that recall lies just above the ID score before it.
    below = np.searchsorted(outside, values[best - 1], "right") if best else np.searchsorted(outside, values[0])
    return float((len(outside) - below) / len(outside))


def auroc_and_fpr95(id_scores: ArrayLike, ood_scores: ArrayLike) -> tuple[float, float]:
    """Those two of `ood_metrics` alone, which takes a tenth of its time.

    Raises NegRefineError as `ood_metrics` does.
    """
    inside, outside = np.sort(_checked(id_scores, "ID")), np.sort(_checked(ood_scores, "OOD"))
    return _auroc(inside, outside), _nearest_fpr95(inside, outside)


@dataclass(frozen=True)
class Measured:
    """One score's metrics on one OOD set, or their mean over the OOD sets (`AVERAGE`, which has no threshold).

    `draws` are (n,) bootstrap values of `auroc` and `fpr95`, where they were asked for.
    """

    column: str
    ood_set: str
    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95: float
    threshold95: float | None
    draws: Mapping[str, NDArray[np.float64]]

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """(low, high) by metric, as `auroc_interval` and `fpr95_interval`."""
        bounds = {f"{name}_interval": interval(values) for name, values in self.draws.items()}
        return {name: (bound.low, bound.high) for name, bound in bounds.items()}


def evaluate(
    table: pd.DataFrame,
    columns: Sequence[str],
    convention: Convention = "id-positive",
    n_bootstrap: int = 0,
    progress: Progress | None = None,
) -> list[Measured]:
    """Each score's metrics on each OOD set, in the table's order, and after them their average; score by score.

    Args:
        table: one row an image: `image_set`, `is_id` and the scores.
        n_bootstrap: resamples of the images behind `draws`; none by default.

    Raises NegRefineError without ID or without OOD images, and as `ood_metrics` does.
    """
    inside, outside = table[table["is_id"]], table[~table["is_id"]]
    if inside.empty or outside.empty:
        raise NegRefineError("metrics compare images of the ID classes with others; score at least one set of each")
    sets = {str(name): rows for name, rows in outside.groupby("image_set", sort=False)}
    found = []
    for place, column in enumerate(columns):
        rows = []
        for stream, (name, oods) in enumerate(sets.items()):
            scores = inside[column].to_numpy(), oods[column].to_numpy()
            metrics = vars(ood_metrics(*scores, convention))
            draws = bootstrap_draws(*scores, n_bootstrap, stream=stream, convention=convention) if n_bootstrap else {}
            rows.append(Measured(column, name, **metrics, draws=draws))
            if progress:
                progress(place * len(sets) + len(rows), len(columns) * len(sets))
        found += [*rows, _average(column, rows)]
    return found


def _average(column: str, rows: Sequence[Measured]) -> Measured:
    return Measured(
        column,
        AVERAGE,
        auroc=_mean([row.auroc for row in rows]),
        aupr_in=_mean([row.aupr_in for row in rows]),
        aupr_out=_mean([row.aupr_out for row in rows]),
        fpr95=_mean([row.fpr95 for row in rows]),
        threshold95=None,
        draws={name: np.mean([row.draws[name] for row in rows], axis=0) for name in rows[0].draws},
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
