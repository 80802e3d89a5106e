"""What verdicts do: the exact change in every image's score when a negative, or all of a class's, comes or goes.

All other negatives keep their groups, so that the difference is that label's alone (paper, section 4.2). Kept are each
image's odds of every group (B, G) and its top labels: what changes is worked out from them, not from all similarities.
What a score hangs on most, the best pairs and ID labels, is worked out in float64: scores are right to 1e-6.
"""

from __future__ import annotations

import copy
import functools
import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from . import scoring
from .detector import NegRefineDetector
from .errors import NegRefineError
from .progress import Progress
from .records import Negative

CHUNK = 512  # images compared with all negatives at once
SIMILARITIES = 1 << 20  # (image, label) compared at once where there are fewer labels
PAIRS = 512  # (image, negative) compared with their pairs at once: in float64, in the processor's cache
RESERVE = 5  # top negatives that are kept beyond those that count: they move up when one of these goes
TOGETHER, KEPT = 256, 1 << 26  # labels of sets, and (set, image) scores, that are worked out in one pass
SMALL, TERMS = 0.1, 6  # below this share of each group's odds, a series of so many terms is exact to 1e-6


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


@dataclass(frozen=True)
class _Tops:
    """The most similar negatives of B images, best first: logits (B, W), numbers (B, W), and the margin (B, W) of the
    best pair with each, NaN where it is not worked out. Where there are fewer than W: -inf, -1 and -inf."""

    sim: Tensor
    label: Tensor
    margin: Tensor

    @classmethod
    def none(cls, count: int, width: int) -> _Tops:
        nothing = torch.full((count, width), -torch.inf)
        return cls(nothing, torch.full((count, width), -1, dtype=torch.int32), nothing.clone())

    @classmethod
    def joined(cls, parts: Sequence[_Tops]) -> _Tops:
        """Of the images of all parts, one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in ("sim", "label", "margin")))

    def of(self, rows: Tensor | slice) -> _Tops:
        return _Tops(self.sim[rows], self.label[rows], self.margin[rows])

    def with_rows(self, rows: Tensor, other: _Tops) -> _Tops:
        pairs = ((self.sim, other.sim), (self.label, other.label), (self.margin, other.margin))
        return _Tops(*(mine.index_copy(0, rows, theirs) for mine, theirs in pairs))

    def sorted(self, width: int) -> _Tops:
        """The best `width` of each image."""
        order = self.sim.argsort(dim=1, descending=True, stable=True)[:, :width]
        return _Tops(*(values.gather(1, order) for values in (self.sim, self.label, self.margin)))

    def without(self, numbers: Tensor) -> _Tops:
        gone = torch.isin(self.label, numbers.to(self.label.dtype))
        fills = ((self.sim, -torch.inf), (self.label, -1), (self.margin, -torch.inf))
        return _Tops(*(values.masked_fill(gone, fill) for values, fill in fills)).sorted(self.sim.shape[1])

    def joined_by(self, sim: Tensor, numbers: Tensor) -> _Tops:
        """With labels of logits and numbers (B, r) more, as many of the best as before."""
        more = _Tops(sim, numbers.to(self.label.dtype), torch.full_like(sim, torch.nan))
        pairs = ((self.sim, more.sim), (self.label, more.label), (self.margin, more.margin))
        return _Tops(*(torch.cat(pair, 1) for pair in pairs)).sorted(self.sim.shape[1])


class Effects:
    """The effects of single negatives on the scores of images, from their features (B, D), which may be mapped.

    A dropped label leaves its group, which then has one negative less. A restored label has no group yet: its effect
    is the mean over the G groups that it could join, so that it depends on no draw. The negatives that the grouping
    leaves out (the last N mod G) act on the multi-matching score only.
    """

    def __init__(self, detector: NegRefineDetector, features: Tensor, progress: Progress | None = None) -> None:
        self.detector, self.features, self.n_groups = detector, features, detector.n_groups
        grouped, count = len(detector.permutation), len(detector.negatives)
        order = torch.cat([detector.permutation, torch.arange(grouped, count)])  # (N,): group after group
        size = grouped // self.n_groups
        self._labels = [detector.negatives[i] for i in order.tolist()]
        self._numbers = {label: number for number, label in enumerate(self._labels)}
        self._matrix = detector.negative_features[order]  # (N, D)
        self._group = [number // size if number < grouped else -1 for number in range(count)]
        self._active = frozenset(range(count))
        self._build(progress)

    def _build(self, progress: Progress | None) -> None:
        """What is kept of the similarities with all negatives, chunk by chunk."""
        config, count = self.detector.config, len(self.features)
        width = config.top_k + RESERVE
        self._positive = torch.empty(count, dtype=torch.float64)  # (B,): logsumexp over the ID labels
        odds = torch.empty(self.n_groups, count)  # (G, B): of each group against the ID labels
        self._top_pos = torch.empty(count, min(config.top_k, len(self.detector.id_labels)), dtype=torch.int32)  # (B, K)
        tops = _Tops.none(count, width)
        for start in range(0, count, CHUNK):
            chunk = slice(start, min(start + CHUNK, count))
            images = self.features[chunk]  # (b, D)
            pos_sim = scoring.similarity(images, self.detector.id_features).double()  # (b, P)
            neg_sim = scoring.similarity(images, self._matrix)  # (b, N)
            _, top_pos = scoring.top_labels(pos_sim, config.top_k)  # (b, K)
            top_sim, top = scoring.top_labels(neg_sim, width)  # (b, w)
            self._top_pos[chunk] = top_pos.to(torch.int32)
            pos_sim.scatter_(1, top_pos, _logits(images, self.detector.id_features[top_pos]))
            positive = pos_sim.logsumexp(1)  # (b,)
            self._positive[chunk] = positive
            rounded = positive.float().unsqueeze(1)  # (b, 1)
            masses = neg_sim[:, : len(self.detector.permutation)].sub_(rounded).exp_()
            of_groups = masses.view(len(images), self.n_groups, -1).sum(2)  # (b, G, N // G) -> (b, G)
            odds[:, chunk] = (of_groups * torch.exp(rounded - positive.unsqueeze(1))).T
            tops.sim[chunk, : top.shape[1]], tops.label[chunk, : top.shape[1]] = top_sim, top.to(torch.int32)
            tops.margin[chunk, : top.shape[1]] = torch.nan
            complete = self._complete(torch.arange(start, chunk.stop), tops.of(chunk))
            tops.margin[chunk] = complete.margin
            if progress:
                progress(min(start + CHUNK, count), count)
        self._odds = list(odds.unbind(0))  # G x (B,)
        self._tops = tops
        self._score()

    def _score(self) -> None:
        self.neglabel = self._share(self._odds)  # (B,)
        self.before = self._with_margin(self.neglabel, self._best(self._tops))  # (B,)
        self._kept_series: tuple[Tensor, list[Tensor]] | None = None

    # --- decisions that were made ---------------------------------------------------------------------------------

    def with_negatives(self, negatives: Sequence[Negative]) -> Effects:
        """The same images with this list of negatives: only what comes and goes is worked out.

        Who stays keeps its group, and who was there before has its own again; another joins the group that its name
        gives it, whatever came before.

        Raises NegRefineError where no negative would be left.
        """
        wanted = {negative.label for negative in negatives}
        gone = [number for number in sorted(self._active) if self._labels[number] not in wanted]
        there = {self._labels[number] for number in self._active}
        new = [negative for negative in negatives if negative.label not in there]
        if not wanted:
            raise NegRefineError("no negative labels are left to score with; keep or restore at least one")
        after = self._joined_by(new) if new else self
        return after._without(gone) if gone else after

    def group(self, label: str) -> int:
        """The number of a negative's group; -1 of one that the grouping leaves out."""
        return self._group[self._numbers[label]]

    def _without(self, numbers: Sequence[int]) -> Effects:
        after = copy.copy(self)
        after._active = self._active - set(numbers)
        after._odds = list(self._odds)
        for group in sorted({self._group[number] for number in numbers} - {-1}):
            after._odds[group] = after._odds_of(group)
        gone = torch.tensor(numbers)
        rows = torch.nonzero(torch.isin(self._tops.label, gone.to(torch.int32)).any(1))[:, 0]  # (b,)
        tops = self._tops.of(rows).without(gone)
        few = torch.isfinite(tops.sim).sum(1) < min(self.detector.config.top_k, len(after._active))
        if few.any():  # more went than there are in reserve
            tops = tops.with_rows(torch.nonzero(few)[:, 0], after._all_tops(rows[few]))
        after._tops = self._tops.with_rows(rows, self._complete(rows, tops))
        after._score()
        return after

    def _joined_by(self, negatives: Sequence[Negative]) -> Effects:
        after, numbers = self._knowing(negatives)
        after._active = self._active | set(numbers)
        after._odds = list(self._odds)
        for group in {after._group[number] for number in numbers} - {-1}:
            after._odds[group] = self._odds[group].clone()
        features, last = after._matrix[numbers], self._last()  # (R, D), (B,)
        found = []
        for chunk in self._chunks(len(numbers)):
            sim = scoring.similarity(self.features[chunk], features)  # (b, R)
            new = self._odds_to(chunk, sim)  # (b, R)
            for place, number in enumerate(numbers):
                if after._group[number] >= 0:
                    after._odds[after._group[number]][chunk] += new[:, place]
            found.append(self._entering(chunk, sim, sim > last[chunk].unsqueeze(1), numbers))
        rows = torch.cat([images for images, _ in found])  # (b,)
        after._tops = self._tops.with_rows(rows, after._complete(rows, _Tops.joined([tops for _, tops in found])))
        after._score()
        return after

    def _knowing(self, negatives: Sequence[Negative]) -> tuple[Effects, list[int]]:
        """(One that knows these labels by number, though they do not act yet, their numbers)."""
        after = copy.copy(self)
        unknown = [negative for negative in negatives if negative.label not in self._numbers]
        names = [negative.label for negative in unknown]
        after._labels = [*self._labels, *names]
        after._numbers = self._numbers | {label: len(self._labels) + i for i, label in enumerate(names)}
        after._matrix = torch.cat([self._matrix, self._label_features(unknown)]) if unknown else self._matrix
        after._group = [*self._group, *(zlib.crc32(label.encode()) % self.n_groups for label in names)]
        return after, [after._numbers[negative.label] for negative in negatives]

    def _odds_to(self, chunk: slice, sim: Tensor) -> Tensor:
        """(b, R) the odds of labels of these logits (b, R) against the ID labels."""
        positive = self._positive[chunk].unsqueeze(1)  # (b, 1)
        rounded = positive.float()  # with what it lacks made good: float32 takes a tenth of float64's time
        return (sim - rounded).exp_().mul_(torch.exp(rounded - positive).float())

    def _odds_of(self, group: int) -> Tensor:
        """(B,) the odds of a group's negatives against the ID labels."""
        members = [number for number in sorted(self._active) if self._group[number] == group]
        odds = torch.zeros(len(self._positive))
        for chunk in self._chunks(len(members)) if members else ():
            sim = scoring.similarity(self.features[chunk], self._matrix[members])  # (b, N // G)
            odds[chunk] = self._odds_to(chunk, sim).sum(1)
        return odds

    def _all_tops(self, rows: Tensor) -> _Tops:
        """The top negatives of images `rows`, of all similarities."""
        active = torch.tensor(sorted(self._active))
        parts, width = [], self._tops.sim.shape[1]
        for part in torch.split(rows, CHUNK):
            sim, place = scoring.top_labels(scoring.similarity(self.features[part], self._matrix[active]), width)
            parts.append(_Tops.none(len(part), width).joined_by(sim, active[place]))
        return _Tops.joined(parts)

    # --- decisions that could be made -----------------------------------------------------------------------------

    def drop(self, label: str) -> Effect:
        """Without one of the negatives."""
        number = self._numbers.get(label, -1)
        if number not in self._active:
            raise NegRefineError(f"{label!r} is not among the negatives, so it cannot be dropped")
        if len(self._active) == 1:
            raise NegRefineError(f"{label!r} is the last negative; nothing would be left to score with")
        attracted = (self._tops.label[:, : self.detector.config.top_k] == number).any(1)  # (B,)
        return Effect(label, self.before, self._without([number]).before, attracted)

    def restore(self, negative: Negative) -> Effect:
        """With one label more. The pairs that it forms are encoded for the images that it attracts."""
        ((_, effect),) = self.each_restored({negative.label: [negative]})
        return effect

    def restore_all(self, sets: Mapping[str, Sequence[Negative]]) -> dict[str, Effect]:
        """`each_restored`, by name."""
        return dict(self.each_restored(sets))

    def each_restored(self, sets: Mapping[str, Sequence[Negative]]) -> Iterator[tuple[str, Effect]]:
        """With all labels of a set more, for each set by itself, one after the other: (name, effect).

        The labels of a set are dealt out to the groups in turn, and the effect is the mean over the G groups that the
        first could go to: for a set of one label that is what `restore` does.
        """
        for label in (negative.label for negatives in sets.values() for negative in negatives):
            if self._numbers.get(label, -1) in self._active:
                raise NegRefineError(f"{label!r} is among the negatives already")
        most = max(1, min(TOGETHER, KEPT // max(len(self.before), 1)))
        together: dict[str, Sequence[Negative]] = {}
        for name, negatives in sets.items():
            if together and sum(map(len, together.values())) + len(negatives) > most:
                yield from self._each_of(together)
                together = {}
            together[name] = negatives
        yield from self._each_of(together)

    def _each_of(self, sets: Mapping[str, Sequence[Negative]]) -> Iterator[tuple[str, Effect]]:
        """The sets of one pass over the images."""
        knowing, numbers = self._knowing([negative for negatives in sets.values() for negative in negatives])
        ends = list(itertools.accumulate(map(len, sets.values())))
        places = [slice(end - len(each), end) for end, each in zip(ends, sets.values(), strict=True)]
        features, last = knowing._matrix[numbers], self._last()
        neglabel = self.neglabel.repeat(len(sets), 1)  # (sets, B)
        found: list[list[tuple[Tensor, _Tops]]] = [[] for _ in sets]
        for chunk in self._chunks(len(numbers)) if numbers else ():
            sim = scoring.similarity(self.features[chunk], features)  # (b, R)
            new = self._odds_to(chunk, sim)  # (b, R)
            dealt = [self._dealt(new[:, place]) for place in places]  # (b, J) each: what goes to one group
            change = self._change(chunk, torch.cat(dealt, 1))  # (b, sum of J)
            is_entering = sim > last[chunk].unsqueeze(1)  # (b, R)
            for i, part in enumerate(torch.split(change, [each.shape[1] for each in dealt], 1)):
                neglabel[i, chunk] += part.sum(1)
            for i, place in enumerate(places):
                found[i].append(self._entering(chunk, sim[:, place], is_entering[:, place], numbers[place]))
        margins = knowing._complete_all([part for parts in found for part in parts])
        best = self._best(self._tops)  # (B,)
        for i, name in enumerate(sets):
            margin, attracted = best.clone(), torch.zeros(len(best), dtype=torch.bool)
            for rows, tops in (next(margins) for _ in found[i]):
                margin[rows] = self._best(tops)
                is_new = torch.isin(tops.label, torch.tensor(numbers[places[i]], dtype=torch.int32))
                attracted[rows] = is_new[:, : self.detector.config.top_k].any(1)
            yield name, Effect(name, self.before, self._with_margin(neglabel[i], margin), attracted)

    def _dealt(self, new: Tensor) -> Tensor:
        """(b, J) the odds (b, R) of a set's labels, dealt out to the groups in turn and added up."""
        first, *others = torch.split(new, self.n_groups, 1) if new.shape[1] else (new,)
        for turn in others:
            first = first + functional.pad(turn, (0, first.shape[1] - turn.shape[1]))
        return first

    def _entering(self, chunk: slice, sim: Tensor, is_entering: Tensor, numbers: Sequence[int]) -> tuple[Tensor, _Tops]:
        """(The images (b,) of a chunk that have one of these labels, of logits (B, R), among the best; their tops)."""
        rows = torch.nonzero(is_entering.any(1))[:, 0]  # (b,)
        entering = sim[rows].masked_fill(~is_entering[rows], -torch.inf)  # (b, R)
        top_sim, top = entering.topk(min(self._tops.sim.shape[1], sim.shape[1]))  # (b, r)
        tops = self._tops.of(rows + chunk.start).joined_by(top_sim, torch.tensor(numbers)[top])
        nothing = torch.isneginf(tops.sim)
        label, margin = tops.label.masked_fill(nothing, -1), tops.margin.masked_fill(nothing, -torch.inf)
        return rows + chunk.start, _Tops(tops.sim, label, margin)

    def _last(self) -> Tensor:
        """(B,) the logit that a label must exceed to be known as one of an image's best."""
        there = torch.isfinite(self._tops.sim).sum(1)  # (B,)
        last = self._tops.sim.gather(1, (there - 1).clamp(min=0).unsqueeze(1))[:, 0]
        is_all = there == min(len(self._active), self._tops.sim.shape[1] + 1)  # the list holds all that there are
        return last.masked_fill(is_all, -torch.inf)

    # --- the parts of a score -------------------------------------------------------------------------------------

    def _share(self, odds: Sequence[Tensor]) -> Tensor:
        """(B,) the mean over the groups, of odds G x (B,), of the ID labels' share."""
        total = torch.zeros_like(odds[0])
        for each in odds:
            total += (1 + each).reciprocal_()
        return total / self.n_groups

    def _change(self, chunk: slice, new: Tensor) -> Tensor:
        """(b, J) the change in NegLabel when a mass of odds (b, J) joins one of the groups, as the mean over all G.

        The mean over g of 1 / (a_g + x), as a series in x where x is small beside each a_g; else as it stands.
        """
        smallest, means = self._series()
        change = torch.zeros_like(new)
        for mean in reversed(means[1:]):  # Horner: -x m2 + x^2 m3 - ...
            change.add_(mean[chunk].unsqueeze(1)).mul_(new).neg_()
        rows, places = torch.nonzero(new > SMALL * smallest[chunk].unsqueeze(1), as_tuple=True)  # (e,)
        whole = torch.stack([odds[chunk] for odds in self._odds], 1) + 1  # (b, G): a
        for row, place in zip(torch.split(rows, PAIRS), torch.split(places, PAIRS), strict=True):
            share = (whole[row] + new[row, place].unsqueeze(1)).reciprocal_().mean(1)  # (e, G) -> (e,)
            change[row, place] = share - means[0][chunk][row]
        return change / self.n_groups

    def _series(self) -> tuple[Tensor, list[Tensor]]:
        """(B,) the smallest a_g of each image, and (B,) the means over g of the powers 1 / a_g, 1 / a_g^2, ..."""
        if self._kept_series is None:
            means = [torch.zeros_like(self.neglabel) for _ in range(TERMS + 1)]
            for odds in self._odds:
                share = (1 + odds).reciprocal_()
                power = share.clone()
                for mean in means:
                    mean += power
                    power *= share
            smallest = 1 + functools.reduce(torch.minimum, self._odds)
            self._kept_series = smallest, [mean / self.n_groups for mean in means]
        return self._kept_series

    def _best(self, tops: _Tops) -> Tensor:
        """(B,) the best margin among the top negatives that count."""
        return tops.margin[:, : self.detector.config.top_k].amax(1)

    def _with_margin(self, neglabel: Tensor, margin: Tensor) -> Tensor:
        return scoring.negrefine_score(neglabel, torch.sigmoid(margin), self.detector.config.alpha)  # (B,)

    def _complete(self, rows: Tensor, tops: _Tops) -> _Tops:
        """The tops of images `rows` (b,) with the margins of those that count worked out."""
        ((_, complete),) = self._complete_all([(rows, tops)])
        return complete

    def _complete_all(self, parts: Sequence[tuple[Tensor, _Tops]]) -> Iterator[tuple[Tensor, _Tops]]:
        """As `_complete`, of many parts, whose pairs are embedded together."""
        top_k = self.detector.config.top_k
        lacking = [torch.nonzero(tops.margin[:, :top_k].isnan()) for _, tops in parts]  # (e, 2) each
        rows = [images[where[:, 0]] for (images, _), where in zip(parts, lacking, strict=True)]
        labels = [tops.label[where[:, 0], where[:, 1]] for (_, tops), where in zip(parts, lacking, strict=True)]
        found = self._best_margins(torch.cat(rows), torch.cat(labels).long()) if parts else torch.empty(0)
        for (images, tops), where, margins in zip(
            parts, lacking, torch.split(found, [len(w) for w in lacking]), strict=True
        ):
            margin = tops.margin.index_put((where[:, 0], where[:, 1]), margins)
            yield images, _Tops(tops.sim, tops.label, margin)

    def _best_margins(self, rows: Tensor, labels: Tensor) -> Tensor:
        """(E,) margins of the best pair of image `rows` (E,) with the negatives of these numbers (E,); a pair once."""
        detector, count = self.detector, len(self._labels)
        codes = self._top_pos[rows].long() * count + labels.unsqueeze(1)  # (E, K)
        unique, position = torch.unique(codes, return_inverse=True)  # (U,), (E, K)
        pairs = [f"{detector.id_labels[code // count]} and {self._labels[code % count]}" for code in unique.tolist()]
        pair_features = detector.encoder.encode_labels(pairs, detector.config.noun_templates)  # (U, D)
        margins = torch.empty(len(rows))
        for start in range(0, len(rows), PAIRS):
            part = slice(start, start + PAIRS)
            images = self.features[rows[part]]  # (e, D)
            pair_sim = _logits(images, pair_features[position[part]])  # (e, K)
            sim = _logits(images, self._matrix[labels[part]].unsqueeze(1))  # (e, 1)
            margins[part] = pair_sim.amax(1) - sim[:, 0]
        return margins

    # --- many labels at a glance ----------------------------------------------------------------------------------

    def ranking(self, negatives: Sequence[Negative], threshold: float | None = None) -> pd.DataFrame:
        """How many images each rejected label would attract if it were restored, the most attractive first.

        `attracted` counts the images that it would be a top-5 negative of, `nearest` those that it would be the
        nearest of; `flips`, with a threshold, those that the NegLabel part alone would take below it.
        """
        features = self._label_features(negatives)  # (R, D)
        attracted, nearest = (torch.zeros(len(negatives), dtype=torch.int64) for _ in range(2))  # (R,)
        last = min(self.detector.config.top_k, len(self._active)) - 1
        for chunk in self._chunks(len(negatives)) if negatives else ():
            sim = scoring.similarity(self.features[chunk], features)  # (b, R)
            attracted += (sim > self._tops.sim[chunk, last : last + 1]).sum(0)
            nearest += (sim > self._tops.sim[chunk, :1]).sum(0)
        table = pd.DataFrame({"label": [n.label for n in negatives], "attracted": attracted, "nearest": nearest})
        if threshold is not None:
            table["flips"] = self._flips_by_neglabel(features, threshold).numpy()
        return table.sort_values(["attracted", "nearest"], ascending=False, kind="stable", ignore_index=True)

    def _flips_by_neglabel(self, features: Tensor, threshold: float) -> Tensor:
        """(R,) how many images each label would take below the threshold by its NegLabel part."""
        near = (self.before >= threshold) & (self.before < threshold + 1 / self.n_groups)  # (B,): others cannot
        flips = torch.zeros(len(features), dtype=torch.int64)  # (R,)
        for i in torch.nonzero(near)[:, 0].tolist():
            image = slice(i, i + 1)
            sim = scoring.similarity(self.features[image], features)  # (1, R)
            change = self._change(image, self._odds_to(image, sim))[0]  # (R,)
            flips += self.before[i] + change < threshold
        return flips

    def _chunks(self, labels: int) -> Iterator[slice]:
        """The images, as many at a time as may be compared with so many labels at once."""
        size = max(CHUNK, min(SIMILARITIES // labels, SIMILARITIES // self.features.shape[1]))
        for start in range(0, len(self.features), size):
            yield slice(start, min(start + size, len(self.features)))

    def _label_features(self, negatives: Sequence[Negative]) -> Tensor:
        """(R, D), by each negative's part of speech."""
        encoder, config = self.detector.encoder, self.detector.config
        features = torch.empty(len(negatives), self.features.shape[1])  # (R, D)
        for pos, templates in (("noun", config.noun_templates), ("adjective", config.adjective_templates)):
            rows = [i for i, negative in enumerate(negatives) if negative.pos == pos]
            features[rows] = encoder.encode_labels([negatives[i].label for i in rows], templates)
        return features


def _logits(features: Tensor, label_features: Tensor) -> Tensor:
    """(b, K) logits of each image (b, D) with labels of its own (b, K, D), in float64."""
    logits: Tensor = scoring.LOGIT_SCALE * torch.einsum("bd,bkd->bk", features.double(), label_features.double())
    return logits
