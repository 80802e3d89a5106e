"""The detector: ID labels and negatives in, one row of scores and explanations an image out (paper, section 4.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from . import methods, scoring
from .encoder import Encoder
from .errors import NegRefineError
from .image_sets import read_image, upright_rgb
from .labels import ADJECTIVE_TEMPLATES, NOUN_TEMPLATES, label_list
from .methods import Matches, Method, Similarities
from .progress import Progress

SCORE_CHUNK = 512  # images scored at once: bounds the memory to SCORE_CHUNK x (P + N) similarities
PAIR_CHUNK = 64  # images compared with their pairs at once: bounds it to PAIR_CHUNK x 25 x D


@dataclass(frozen=True)
class DetectorConfig:
    """The score's hyperparameters, with the paper's values."""

    alpha: float = scoring.ALPHA
    top_k: int = scoring.TOP_K
    n_groups: int = scoring.N_GROUPS
    group_seed: int = 0
    mcm_temperature: float = scoring.MCM_TEMPERATURE
    noun_templates: tuple[str, ...] = NOUN_TEMPLATES
    adjective_templates: tuple[str, ...] = ADJECTIVE_TEMPLATES


@dataclass(frozen=True)
class Without:
    """Labels to leave out of a score. A negative leaves its group; the others keep theirs."""

    id_labels: frozenset[str] = frozenset()
    negatives: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _There:
    """What images are compared with, where that is done."""

    device: torch.device
    id_features: Tensor  # (P, D)
    negative_features: Tensor  # (N, D)
    permutation: Tensor


class NegRefineDetector:
    """Scores images against ID labels and (refined) negative labels.

    Args:
        encoder: a CLIP model; a `CachedEncoder` keeps label and pair features on disk.
        id_labels: P ID class names.
        negative_nouns, negative_adjectives: N negatives; adjectives as phrases (`gooey landscape`).
        permutation: a run's stored permutation of the grouped negatives; by default `scoring.group_permutation`.

    Raises NegRefineError without ID labels or without negatives.
    """

    def __init__(
        self,
        encoder: Encoder,
        id_labels: Sequence[str],
        negative_nouns: Sequence[str],
        negative_adjectives: Sequence[str] = (),
        config: DetectorConfig | None = None,
        permutation: Tensor | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.encoder, self.config = encoder, config or DetectorConfig()
        self.id_labels = label_list(id_labels)
        self.n_nouns = len(negative_nouns)  # the first of the negatives
        self.negatives = [*negative_nouns, *negative_adjectives]
        if not self.id_labels:
            raise NegRefineError("no ID labels; give at least one class name")
        drawn = scoring.group_permutation(len(self.negatives), self.config.n_groups, self.config.group_seed)
        self.permutation = drawn if permutation is None or len(permutation) != len(drawn) else permutation
        nouns, adjectives = self.config.noun_templates, self.config.adjective_templates
        self.id_features = encoder.encode_labels(self.id_labels, nouns)  # (P, D)
        self.negative_features = torch.cat(  # (N, D)
            [
                encoder.encode_labels(list(negative_nouns), nouns, progress),
                encoder.encode_labels(list(negative_adjectives), adjectives, progress),
            ]
        )

    @cached_property
    def _there(self) -> "_There":
        """On the graphics card where the model is on one; else as it is."""
        device = torch.device(str(getattr(self.encoder, "device", "cpu")))
        device = device if device.type == "cuda" else torch.device("cpu")
        return _There(
            device, self.id_features.to(device), self.negative_features.to(device), self.permutation.to(device)
        )

    @property
    def notes(self) -> list[str]:
        """What the score does differently because there are few labels, in words for the user."""
        return scoring.few_labels(len(self.id_labels), len(self.negatives), self.config.n_groups, self.config.top_k)

    @property
    def n_groups(self) -> int:
        """The groups that the score averages over: one when there are fewer negatives than groups."""
        return self.config.n_groups if len(self.negatives) >= self.config.n_groups else 1

    def score(self, images: Sequence[str | Path | Image.Image]) -> pd.DataFrame:
        """One row an image, from paths or PIL images; columns as in `score_features`, with `path` first.

        Raises NegRefineError naming the first image that cannot be read.
        """
        opened = []
        for image in images:
            try:
                opened.append(upright_rgb(image) if isinstance(image, Image.Image) else read_image(image))
            except (NegRefineError, OSError) as error:
                raise NegRefineError(f"cannot read the image {image}: {error}") from error
        table = self.score_features(self.encoder.encode_images(opened))
        table.insert(0, "path", ["" if isinstance(image, Image.Image) else str(image) for image in images])
        return table

    def score_features(
        self, features: Tensor, progress: Progress | None = None, without: Without | None = None
    ) -> pd.DataFrame:
        """Score L2-normalised image features (B, D), as if the labels of `without` were not there. Columns:

        those of `methods` that compare with the detector's negatives or with none: `negrefine`, its parts `neglabel`
        and `multi_matching`, `mcm` and others; `id_labels`, `id_sims`, `negative_labels`, `negative_sims`: the top 5
        with their logits; `pair_id`, `pair_negative`, `pair_sim`: the pair behind the multi-matching score.

        Done in float32: beside float64, `negrefine` is right to 5e-6 where logits are near 30 (of 512 dimensions).

        Raises NegRefineError when no ID label or no negative would be left.
        """
        without = without or Without()
        tables = []
        for chunk in torch.split(features, SCORE_CHUNK):
            tables.append(self._score_chunk(chunk, progress, without))
        return pd.concat(tables, ignore_index=True) if tables else self._score_chunk(features, None, without)

    def score_with(self, wanted: Sequence[Method], features: Tensor, nearest: str = "") -> pd.DataFrame:
        """These scores alone of L2-normalised image features (B, D), a column each; with `nearest`, a column of that
        name holds the top 5 negatives."""
        tables = []
        for chunk in torch.split(features, SCORE_CHUNK):
            images = self._similarities(chunk)
            table = pd.DataFrame({row.column: row.score(images).cpu().numpy() for row in wanted})
            if nearest:
                table[nearest] = _names(self.negatives, self._top(images.neg_sim)[1])
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _score_chunk(self, features: Tensor, progress: Progress | None, without: Without) -> pd.DataFrame:
        images = self._similarities(features, progress, without)
        top = images.matches.cpu()
        scores = {row.column: row.score(images).cpu().numpy() for row in methods.comparing_with("refined", "none")}
        best = (top.pair_sim - top.neg_sim.unsqueeze(1)).flatten(1).argmax(1)  # (B,)
        row = torch.arange(len(best))  # (B,)
        best_pos = best // top.neg.shape[1]  # (B,)
        best_neg = best % top.neg.shape[1]  # (B,)
        return pd.DataFrame(
            {
                **scores,
                "id_labels": _names(self.id_labels, top.pos),
                "id_sims": list(top.pos_sim.numpy()),
                "negative_labels": _names(self.negatives, top.neg),
                "negative_sims": list(top.neg_sim.numpy()),
                "pair_id": np.array(self.id_labels, dtype=object)[top.pos[row, best_pos].numpy()],
                "pair_negative": np.array(self.negatives, dtype=object)[top.neg[row, best_neg].numpy()],
                "pair_sim": top.pair_sim[row, best_pos, best_neg].numpy(),
            }
        )

    def _similarities(
        self, features: Tensor, progress: Progress | None = None, without: Without | None = None
    ) -> Similarities:
        """What the scores of images (B, D) are made of."""
        config, without, there = self.config, without or Without(), self._there
        features = features.to(there.device)  # (B, D)
        pos_sim = scoring.similarity(features, there.id_features)  # (B, P)
        neg_sim = scoring.similarity(features, there.negative_features)  # (B, N)
        pos_sim = _without(pos_sim, self.id_labels, without.id_labels)
        neg_sim = _without(neg_sim, self.negatives, without.negatives)
        return Similarities(
            pos_sim=pos_sim,
            neg_sim=neg_sim,
            permutation=there.permutation,
            n_groups=config.n_groups,
            alpha=config.alpha,
            mcm_temperature=config.mcm_temperature,
            match=lambda: self._matches(features, pos_sim, neg_sim, progress),
        )

    def _matches(self, features: Tensor, pos_sim: Tensor, neg_sim: Tensor, progress: Progress | None) -> Matches:
        top_pos_sim, top_pos = self._top(pos_sim)  # (B, K)
        top_neg_sim, top_neg = self._top(neg_sim)  # (B, M)
        pair_sim = self.pair_similarity(features, top_pos, top_neg, progress)  # (B, K, M)
        return Matches(top_pos_sim, top_pos, top_neg_sim, top_neg, pair_sim)

    def _top(self, sim: Tensor) -> tuple[Tensor, Tensor]:
        left = int(sim[0].isfinite().sum()) if len(sim) else sim.shape[1]
        return scoring.top_labels(sim, min(self.config.top_k, left))

    def pair_similarity(
        self, features: Tensor, top_pos: Tensor, top_neg: Tensor, progress: Progress | None = None
    ) -> Tensor:
        """(B, K, M) logits of images with the texts "{id} and {negative}" of their top labels; each pair once."""
        n_negatives = len(self.negatives)
        codes = top_pos.unsqueeze(2) * n_negatives + top_neg.unsqueeze(1)  # (B, K, M)
        unique, position = torch.unique(codes, return_inverse=True)  # (U,), (B, K, M)
        paired = zip((unique // n_negatives).tolist(), (unique % n_negatives).tolist(), strict=True)
        pairs = [f"{self.id_labels[p]} and {self.negatives[n]}" for p, n in paired]
        pair_features = self.encoder.encode_labels(pairs, self.config.noun_templates, progress).to(
            codes.device
        )  # (U, D)
        similarities = [  # few images at a time: (B, K, M, D) at once would take gigabytes
            scoring.LOGIT_SCALE * torch.einsum("bd,bkmd->bkm", images, pair_features[wanted])
            for images, wanted in zip(torch.split(features, PAIR_CHUNK), torch.split(position, PAIR_CHUNK), strict=True)
        ]
        return torch.cat(similarities)  # (B, K, M)


def _without(sim: Tensor, labels: Sequence[str], off: frozenset[str]) -> Tensor:
    """(B, L) logits in which the labels that are off have no weight and are never among the top ones."""
    rows = [i for i, label in enumerate(labels) if label in off] if off else []
    if len(rows) == len(labels):
        raise NegRefineError("leave at least one ID label and one negative switched on; a score compares the two")
    if rows:
        sim[:, rows] = -torch.inf
    return sim


def _names(labels: Sequence[str], indices: Tensor) -> list[list[str]]:
    return [[labels[i] for i in row] for row in indices.tolist()]
