"""The paper's ablation of a finished run, from the features it has: both parts on and off, and each setting swept."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pandas as pd
import torch
from torch import Tensor

from .. import pipeline, scoring
from ..cache import CachedEncoder
from ..detector import NegRefineDetector
from ..embedding import embed_images
from ..errors import NegRefineError
from ..image_sets import ImageSet
from ..metrics import Convention, Measured, evaluate
from ..negfilter import clean_negatives
from ..pipeline import Report, silent
from ..progress import Progress
from ..records import Negative
from ..runs import Run

ALPHAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
TOPS = (1, 3, 5, 8)  # top ID labels, and top negatives, of the multi-matching pairs
GROUPS = (1, 10, 50, 100, 200)
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the run's own mined fraction: more would need verdicts that it has not
PARTS = ("neither", "filter only", "multi-matching only", "both")
CHUNK = 512


@dataclass(frozen=True)
class Variant:
    """One way to score: `sweep` is what changes and `value` what it is changed to."""

    sweep: str
    value: str | float


def scores(
    run: Run, encoder: CachedEncoder, image_sets: Sequence[str], report: Report = silent
) -> tuple[list[Variant], pd.DataFrame]:
    """Every variant's score of the images in scored image sets: a column a variant (by its number), and `image_set`.

    Pictures and labels that are in the cache are not embedded again; new are the pairs of the larger tops.
    """
    variants: list[Variant] = []
    detectors = _detectors(run, encoder)
    tables = []
    for name in image_sets:
        with report(f"Ablating on {name}") as progress:
            for features in _features(run, encoder, name, progress):
                columns = list(_variants(run, detectors, features))
                variants = [variant for variant, _ in columns]
                table = pd.DataFrame({number: score.numpy() for number, (_, score) in enumerate(columns)})
                tables.append(table.assign(image_set=name))
    return variants, pd.concat(tables, ignore_index=True)


def results(
    variants: Sequence[Variant],
    table: pd.DataFrame,
    id_set: str,
    conventions: Sequence[Convention] = ("id-positive",),
    n_bootstrap: int = 0,
    report: Report = silent,
) -> pd.DataFrame:
    """A row for each convention, variant and OOD set, and their average: AUROC and FPR@95 in percent and, with
    `n_bootstrap` resamples of the images, where their 95% intervals begin and end (`auroc_low` and so on).

    Raises NegRefineError without OOD images.
    """
    named = table.rename(columns=str).sort_values("image_set", kind="stable")
    named["is_id"] = named["image_set"] == id_set
    rows = []
    columns = [str(number) for number in range(len(variants))]
    for convention in conventions:
        with report("Computing the metrics") as progress:
            found = evaluate(named, columns, convention, n_bootstrap, progress)
        rows += [_row(convention, variants[int(each.column)], each) for each in found]
    return pd.DataFrame(rows)


def _row(convention: Convention, variant: Variant, found: Measured) -> dict[str, object]:
    row: dict[str, object] = {"convention": convention, **asdict(variant), "ood_set": found.ood_set}
    for metric in ("auroc", "fpr95"):
        row[metric] = 100 * getattr(found, metric)
        if interval := found.intervals.get(f"{metric}_interval"):
            row[f"{metric}_low"], row[f"{metric}_high"] = (100 * bound for bound in interval)
    return row


def _features(run: Run, encoder: CachedEncoder, name: str, progress: Progress) -> Iterator[Tensor]:
    """Features (b, D) of the pictures that the run scored in an image set."""
    image_set = ImageSet(name, run.image_root(name), tuple(run.scores(name)["path"]))
    for chunk in embed_images(encoder, image_set, progress):
        if chunk.skipped:
            index, reason = chunk.skipped[0]
            raise NegRefineError(
                f"{image_set.root / image_set.paths[index]} was scored but cannot be read any more "
                f"({reason}); put it back, or score {name} again"
            )
        yield from torch.split(chunk.features, CHUNK)


@dataclass(frozen=True)
class _Detectors:
    """The run's detector; the one without the filter; and the ones with a smaller mined fraction."""

    whole: NegRefineDetector
    unfiltered: NegRefineDetector
    smaller: dict[float, NegRefineDetector]


def _detectors(run: Run, encoder: CachedEncoder) -> _Detectors:
    smaller = {
        round(share * run.settings.fraction, 4): pipeline.detector(run, encoder, _mined_share(run, share))
        for share in SHARES
    }
    return _Detectors(pipeline.detector(run, encoder), pipeline.detector(run, encoder, run.initial_negatives), smaller)


def _mined_share(run: Run, share: float) -> list[Negative]:
    """The final negatives if only this share had been mined: the least similar of each kind come first."""
    mined = run.initial_negatives
    nouns, adjectives = ([n for n in mined if n.pos == pos] for pos in ("noun", "adjective"))
    first = [negative for kind in (nouns, adjectives) for negative in kind[: int(share * len(kind))]]
    final = {negative.label for negative in run.negatives}
    return [negative for negative in clean_negatives(first) if negative.label in final]


def _variants(run: Run, detectors: _Detectors, features: Tensor) -> Iterator[tuple[Variant, Tensor]]:
    """Each variant's scores (b,) of features (b, D)."""
    settings, whole = run.settings, detectors.whole
    alpha = settings.alpha
    neglabel, multi = _parts(whole, features)
    plain_neglabel, plain_multi = _parts(detectors.unfiltered, features)
    parts = (plain_neglabel, neglabel, plain_neglabel + alpha * plain_multi, neglabel + alpha * multi)
    yield from ((Variant("parts", name), score) for name, score in zip(PARTS, parts, strict=True))
    yield from ((Variant("alpha", value), neglabel + value * multi) for value in ALPHAS)
    yield from (
        (Variant(sweep, float(value)), neglabel + alpha * score) for sweep, value, score in _tops(whole, features)
    )
    for fraction, detector in detectors.smaller.items():
        fewer_neglabel, fewer_multi = _parts(detector, features)
        yield Variant("mined fraction", fraction), fewer_neglabel + alpha * fewer_multi
    pos_sim = scoring.similarity(features, whole.id_features)  # (b, P)
    neg_sim = scoring.similarity(features, whole.negative_features)  # (b, N)
    for groups in GROUPS:
        yield Variant("groups", float(groups)), scoring.neglabel_score(pos_sim, neg_sim, groups) + alpha * multi


def _parts(detector: NegRefineDetector, features: Tensor) -> tuple[Tensor, Tensor]:
    """(NegLabel (b,), multi-matching (b,)) of a detector."""
    table = detector.score_features(features)
    neglabel, multi_matching = (torch.tensor(table[part].to_numpy()) for part in ("neglabel", "multi_matching"))
    return neglabel, multi_matching


def _tops(detector: NegRefineDetector, features: Tensor) -> Iterator[tuple[str, int, Tensor]]:
    """Multi-matching (b,) with k top ID labels or n top negatives, the other as it is: corners of one grid of pairs."""
    own, most = detector.config.top_k, max(*TOPS, detector.config.top_k)
    _, top_pos = scoring.top_labels(scoring.similarity(features, detector.id_features), most)  # (b, K)
    neg_sim, top_neg = scoring.top_labels(scoring.similarity(features, detector.negative_features), most)  # (b, M)
    pair_sim = detector.pair_similarity(features, top_pos, top_neg)  # (b, K, M)
    for sweep, sizes in (("top ID labels", [(k, own) for k in TOPS]), ("top negatives", [(own, n) for n in TOPS])):
        for k, n in sizes:
            score = scoring.multi_matching_score(pair_sim[:, :k, :n], neg_sim[:, :n])  # (b,)
            yield sweep, k if sweep == "top ID labels" else n, score
