"""What verdicts do: the exact change in every image's score when a negative, or all of a class's, comes or goes.

All other negatives keep their groups, so that the difference is that label's alone (paper, section 4.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from . import scoring
from .detector import NegRefineDetector
from .errors import NegRefineError
from .progress import Progress
from .records import Negative

CHUNK = 512  # images compared with all negatives at once
PAIRS = 4096  # (image, negative) compared with their pairs at once


@dataclass(frozen=True)
class Effect:
    """NegRefine scores (B,) with and without one change; `attracted` (B,) marks the images that have the label among
    their top negatives, while it is kept."""

    label: str
    before: Tensor
    after: Tensor
    attracted: Tensor

    def flips(self, threshold: float) -> Tensor:
        """(B,) whether the decision "ID: score at or above the threshold" changes."""
        return (self.before >= threshold) != (self.after >= threshold)


class Effects:
    """The effects of single negatives on the scores of images, from their features (B, D).

    A dropped label leaves its group, which then has one negative less. A restored label has no group yet: its effect
    is the mean over the G groups that it could join, so that it depends on no draw. The negatives that the grouping
    leaves out (the last N mod G) act on the multi-matching score only.
    """

    def __init__(self, detector: NegRefineDetector, features: Tensor, progress: Progress | None = None) -> None:
        self.detector, self.features = detector, features
        self.n_groups = detector.n_groups
        self._members = detector.permutation.view(self.n_groups, -1)  # (G, N // G)
        self._place = {label: i for i, label in enumerate(detector.negatives)}
        parts = []
        for start in range(0, len(features), CHUNK):
            parts.append(self._prepare(features[start : start + CHUNK]))
            if progress:
                progress(min(start + CHUNK, len(features)), len(features))
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        self._positive, groups, self._top_pos, self._neg_sim, self._top_neg, self._margin = columns
        self._odds = torch.exp(groups - self._positive)  # (B, G), of each group against the ID labels
        self.neglabel = (1 / (1 + self._odds)).mean(1)  # (B, G) -> (B,)
        self.before = self._negrefine(self.neglabel, self._margin)  # (B,)

    def _prepare(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 1) ID mass, (B, G) group mass, (B, K) top ID labels, (B, M + 1) top negatives' logits and indices, and
        the (B, M) margin of the best pair with each of the top M."""
        detector, config = self.detector, self.detector.config
        pos_sim = scoring.similarity(images, detector.id_features)  # (B, P)
        neg_sim = scoring.similarity(images, detector.negative_features)  # (B, N)
        groups = neg_sim[:, self._members].logsumexp(2)  # (B, G, N // G) -> (B, G)
        _, top_pos = scoring.top_labels(pos_sim, config.top_k)  # (B, K)
        top_sim, top_neg = scoring.top_labels(neg_sim, config.top_k + 1)  # (B, M + 1): one in reserve
        m = config.top_k
        pair_sim = detector.pair_similarity(images, top_pos, top_neg[:, :m])  # (B, K, M)
        margin = (pair_sim - top_sim[:, :m].unsqueeze(1)).amax(1)  # (B, M)
        return pos_sim.logsumexp(1, keepdim=True), groups, top_pos, top_sim, top_neg, margin

    def drop(self, label: str) -> Effect:
        """Without one of the detector's negatives."""
        index = self._place.get(label, -1)
        if index < 0:
            raise NegRefineError(f"{label!r} is not among the negatives, so it cannot be dropped")
        if len(self._place) == 1:
            raise NegRefineError(f"{label!r} is the last negative; nothing would be left to score with")
        neglabel = self.neglabel
        group, column = (position.tolist() for position in torch.nonzero(self._members == index, as_tuple=True))
        if group:  # else one of the last N mod G
            rest = self._members[group[0]][torch.arange(self._members.shape[1]) != column[0]]  # (N // G - 1,)
            sim = scoring.similarity(self.features, self.detector.negative_features[rest])  # (B, N // G - 1)
            was = self._odds[:, group[0]]  # (B,)
            now = torch.exp(sim.logsumexp(1) - self._positive[:, 0])  # (B,)
            neglabel = neglabel + (1 / (1 + now) - 1 / (1 + was)) / self.n_groups  # (B,)
        margin = self._margin.clone()  # (B, M)
        attracted = (self._top_neg[:, : margin.shape[1]] == index).any(1)  # (B,)
        margin[self._top_neg[:, : margin.shape[1]] == index] = -torch.inf
        if self._top_neg.shape[1] > margin.shape[1]:  # the one in reserve moves up
            margin = torch.cat([margin, torch.full((len(margin), 1), -torch.inf)], 1)  # (B, M + 1)
            pair_sim = self.detector.pair_similarity(
                self.features[attracted],  # (b, D)
                self._top_pos[attracted],  # (b, K)
                self._top_neg[attracted, -1:],  # (b, 1)
            )[:, :, 0]  # (b, K, 1) -> (b, K)
            margin[attracted, -1] = pair_sim.amax(1) - self._neg_sim[attracted, -1]
        return Effect(label, self.before, self._negrefine(neglabel, margin), attracted)

    def restore(self, negative: Negative) -> Effect:
        """With one label more. The pairs that it forms are encoded for the images that it attracts."""
        if negative.label in self._place:
            raise NegRefineError(f"{negative.label!r} is among the negatives already")
        sim = scoring.similarity(self.features, self._label_features([negative]))  # (B, 1)
        change = self._neglabel_change(self._odds, torch.exp(sim - self._positive))  # (B,)
        m = self._margin.shape[1]
        full = m == self.detector.config.top_k
        attracted = sim[:, 0] > self._neg_sim[:, m - 1] if full else torch.ones(len(sim), dtype=torch.bool)  # (B,)
        margin = torch.cat([self._margin, torch.full((len(sim), 1), -torch.inf)], 1)  # (B, M + 1)
        margin[attracted, -1] = self._best_pair(attracted, negative.label) - sim[attracted, 0]
        if full:
            margin[attracted, m - 1] = -torch.inf  # the last of the top M makes way
        return Effect(negative.label, self.before, self._negrefine(self.neglabel + change, margin), attracted)

    def restore_all(self, sets: Mapping[str, Sequence[Negative]]) -> dict[str, Effect]:
        """With all labels of a set more, for each set by itself; the effects are named as the sets.

        The labels of a set are dealt out to the groups in turn, and the effect is the mean over the G groups that the
        first could go to: for a set of one label that is what `restore` does.
        """
        everything = [negative for negatives in sets.values() for negative in negatives]
        for label in (negative.label for negative in everything if negative.label in self._place):
            raise NegRefineError(f"{label!r} is among the negatives already")
        if not everything:
            return {
                name: Effect(name, self.before, self.before, torch.zeros_like(self.before, dtype=torch.bool))
                for name in sets
            }
        sizes = [len(negatives) for negatives in sets.values()]
        numbers = torch.split(torch.arange(len(everything)), sizes)  # (R,) each
        features = self._label_features(everything)  # (R, D) of all sets
        joined = [self._joined(features[each], each) for each in numbers]
        best = self._best_margins(torch.cat([each.entering for each in joined]), everything, features)  # (E,)
        margins_of = torch.split(best, [len(each.entering) for each in joined])
        found = {}
        for name, each, margins in zip(sets, joined, margins_of, strict=True):
            rows = each.entering[:, 0]
            margin = each.margin.scatter_reduce(0, rows, margins, "amax")  # (B,)
            attracted = torch.zeros(len(margin), dtype=torch.bool).index_fill(0, rows, value=True)
            after = self._negrefine(each.neglabel, margin.unsqueeze(1))
            found[name] = Effect(name, self.before, after, attracted)
        return found

    def _joined(self, features: Tensor, numbers: Tensor) -> "_Joined":
        """A set's labels, of features (R, D) and these numbers (R,) among all sets', beside the negatives."""
        parts = []
        m = self._margin.shape[1]
        size = min(self.detector.config.top_k, m + len(features))  # top negatives then
        for start in range(0, len(self.features), CHUNK):
            chunk = slice(start, start + CHUNK)
            sim = scoring.similarity(self.features[chunk], features)  # (b, R)
            dealt = torch.zeros(len(sim), min(self.n_groups, len(features)))  # (b, J): odds that go to one group
            new = torch.exp(sim - self._positive[chunk])
            dealt.index_add_(1, torch.arange(len(features)) % self.n_groups, new)
            neglabel = self.neglabel[chunk] + sum(
                self._neglabel_change(self._odds[chunk], odds.unsqueeze(1)) for odds in dealt.unbind(1)
            )  # (b,)
            top_sim, top = sim.topk(min(size, len(features)))  # (b, r)
            both = torch.cat([self._neg_sim[chunk, :m], top_sim], 1)  # (b, M + r)
            is_top = torch.zeros_like(both, dtype=torch.bool)
            is_top.scatter_(1, both.argsort(dim=1, descending=True, stable=True)[:, :size], value=True)
            margin = self._margin[chunk].masked_fill(~is_top[:, :m], -torch.inf).amax(1)  # (b,)
            row, place = torch.nonzero(is_top[:, m:], as_tuple=True)  # (e,)
            parts.append((neglabel, margin, torch.stack([row + start, numbers[top[row, place]]], 1)))
        return _Joined(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _best_margins(self, entering: Tensor, negatives: Sequence[Negative], features: Tensor) -> Tensor:
        """(E,) margins of the best pair of an image with a negative, of numbers `entering` (E, 2); each pair once."""
        detector = self.detector
        rows, labels = entering.unbind(1)
        codes = self._top_pos[rows] * len(negatives) + labels.unsqueeze(1)  # (E, K)
        unique, position = torch.unique(codes, return_inverse=True)  # (U,), (E, K)
        pairs = [
            f"{detector.id_labels[code // len(negatives)]} and {negatives[code % len(negatives)].label}"
            for code in unique.tolist()
        ]
        pair_features = detector.encoder.encode_labels(pairs, detector.config.noun_templates)  # (U, D)
        margins = torch.empty(len(entering))
        for start in range(0, len(entering), PAIRS):
            part = slice(start, start + PAIRS)
            images = self.features[rows[part]]  # (e, D)
            pair_sim = torch.einsum("ed,ekd->ek", images, pair_features[position[part]])  # (e, K)
            sim = torch.einsum("ed,ed->e", images, features[labels[part]])  # (e,)
            margins[part] = scoring.LOGIT_SCALE * (pair_sim.amax(1) - sim)
        return margins

    def ranking(self, negatives: Sequence[Negative], threshold: float | None = None) -> pd.DataFrame:
        """How many images each rejected label would attract if it were restored, the most attractive first.

        `attracted` counts the images that it would be a top-5 negative of, `nearest` those that it would be the
        nearest of; `flips`, with a threshold, those that the NegLabel part alone would take below it.
        """
        features = self._label_features(negatives)  # (R, D)
        attracted, nearest, flips = (torch.zeros(len(negatives), dtype=torch.int64) for _ in range(3))  # (R,)
        last = self._margin.shape[1] - 1
        for start in range(0, len(self.features), CHUNK):
            chunk = slice(start, start + CHUNK)
            sim = scoring.similarity(self.features[chunk], features)  # (b, R)
            attracted += (sim > self._neg_sim[chunk, last : last + 1]).float().sum(0).long()  # floats sum faster
            nearest += (sim > self._neg_sim[chunk, :1]).float().sum(0).long()
        if threshold is not None:
            within = (self.before >= threshold) & (self.before < threshold + 1 / self.n_groups)  # (B,): others cannot
            flips = self._flips_by_neglabel(within, features, threshold)
        table = pd.DataFrame({"label": [n.label for n in negatives], "attracted": attracted, "nearest": nearest})
        if threshold is not None:
            table["flips"] = flips.numpy()
        return table.sort_values(["attracted", "nearest"], ascending=False, kind="stable", ignore_index=True)

    def _flips_by_neglabel(self, chosen: Tensor, features: Tensor, threshold: float) -> Tensor:
        """(R,) how many of the chosen (B,) images each label would take below the threshold by its NegLabel part."""
        flips = torch.zeros(len(features), dtype=torch.int64)  # (R,)
        sim = scoring.similarity(self.features[chosen], features) - self._positive[chosen]  # (b, R)
        for before, odds, new in zip(self.before[chosen], self._odds[chosen], torch.exp(sim), strict=True):
            change = self._neglabel_change(odds.unsqueeze(0), new.unsqueeze(1))  # (R,)
            flips += before + change < threshold
        return flips

    def _neglabel_change(self, odds: Tensor, new: Tensor) -> Tensor:
        """(n,) the change in NegLabel when a label of odds (n, 1) joins one of the groups, of odds (n, G) or (1, G)."""
        return (1 / (1 + odds + new) - 1 / (1 + odds)).mean(1) / self.n_groups  # (n, G) -> (n,)

    def _negrefine(self, neglabel: Tensor, margin: Tensor) -> Tensor:
        return scoring.negrefine_score(neglabel, torch.sigmoid(margin.amax(1)), self.detector.config.alpha)  # (B,)

    def _best_pair(self, chosen: Tensor, negative: str) -> Tensor:
        """(b,) the highest logit of the chosen (B,) images with their top ID labels, each paired with one negative."""
        detector, top_pos = self.detector, self._top_pos[chosen]  # (b, K)
        unique, position = torch.unique(top_pos, return_inverse=True)  # (U,), (b, K)
        pairs = [f"{detector.id_labels[i]} and {negative}" for i in unique.tolist()]
        features = detector.encoder.encode_labels(pairs, detector.config.noun_templates)  # (U, D)
        return scoring.similarity(self.features[chosen], features).gather(1, position).amax(1)  # (b, U) -> (b,)

    def _label_features(self, negatives: Sequence[Negative]) -> Tensor:
        """(R, D), by each negative's part of speech."""
        encoder, config = self.detector.encoder, self.detector.config
        features = torch.empty(len(negatives), self.features.shape[1])  # (R, D)
        for pos, templates in (("noun", config.noun_templates), ("adjective", config.adjective_templates)):
            rows = [i for i, negative in enumerate(negatives) if negative.pos == pos]
            features[rows] = encoder.encode_labels([negatives[i].label for i in rows], templates)
        return features


@dataclass(frozen=True)
class _Joined:
    """What a set of labels makes of B images: NegLabel (B,), the best margin (B,) of the negatives that stay among the
    top ones, and (E, 2) which image has which of the set's labels among its top negatives."""

    neglabel: Tensor
    margin: Tensor
    entering: Tensor
