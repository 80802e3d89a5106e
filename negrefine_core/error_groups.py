"""The mistakes of a score in groups of alike images, each named by its nearest labels: what is taken for what."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

MOST = 12  # groups of a kind


@dataclass(frozen=True)
class ErrorGroup:
    """Images that are alike and mistaken in the same way.

    `rows` (n,) are their places in the table, those nearest to the group's middle first. `id_label` is the ID class and
    `negative` the negative label that most of them are similar to. The outcome is FP (OOD let in) or FN (ID missed).
    """

    rows: np.ndarray
    outcome: Literal["FP", "FN"]
    id_label: str
    negative: str

    @property
    def name(self) -> str:
        if self.outcome == "FP":
            return f"{self.negative} taken for {self.id_label}"
        return f"{self.id_label} taken for {self.negative}"


def error_groups(table: pd.DataFrame, features: np.ndarray) -> list[ErrorGroup]:
    """The mistakes among scored images, largest group first; the same images give the same groups.

    Args:
        table: a row an image, with `outcome`, `id_labels` and `negative_labels` (the most similar first).
        features: (B, D) L2-normalised image features of the same rows.
    """
    groups = []
    kinds: tuple[Literal["FP", "FN"], ...] = ("FP", "FN")
    for outcome in kinds:
        rows = np.flatnonzero(table["outcome"] == outcome)  # (M,)
        for members in _clusters(features[rows]):
            part = table.iloc[rows[members]]
            id_label, negative = _common(part["id_labels"]), _common(part["negative_labels"])
            groups.append(ErrorGroup(rows[members], outcome, id_label, negative))
    return sorted(groups, key=lambda group: (-len(group.rows), group.name))


def _clusters(features: np.ndarray) -> list[np.ndarray]:
    """The places of each cluster's features (M, D), those nearest to its middle first: k-means, k by the square root of
    half their number."""
    if len(features) < 2:
        return [np.arange(len(features))] if len(features) else []
    from sklearn.cluster import KMeans  # here: it takes a second to import

    distinct = len(np.unique(features, axis=0))
    count = min(MOST, distinct, max(1, round(np.sqrt(len(features) / 2))))
    clusters = KMeans(count, n_init=4, random_state=0).fit(features)
    distances = np.linalg.norm(features - clusters.cluster_centers_[clusters.labels_], axis=1)  # (M,)
    ordered = np.argsort(distances, kind="stable")
    return [ordered[clusters.labels_[ordered] == k] for k in range(count)]


def _common(labels: Iterable[Sequence[str]]) -> str:
    """The label that most images are similar to: each names some, the first counts most."""
    weights: dict[str, float] = {}
    for names in labels:
        for rank, name in enumerate(names):
            weights[name] = weights.get(name, 0.0) + 1 / (1 + rank)
    return min(weights, key=lambda name: (-weights[name], name), default="")
