"""The map of a run's labels: ID classes and mined negatives, by the model's features or by the judge's questions.

A run that was imported without a model has no features, but its questions: each negative was asked about the ID classes
nearest to it, the nearest first.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from . import maps, run_maps
from .labels import ADJECTIVE_TEMPLATES
from .maps import Projection
from .progress import Progress
from .run_files.checks import digest
from .run_maps import Map
from .runs import Run

if TYPE_CHECKING:
    from .cache import CachedEncoder


@dataclass(frozen=True)
class LabelVectors:
    """The P ID classes, then the N negatives, and their vectors (P + N, D) of length 1, or 0 where nothing is known of
    a label."""

    id_labels: tuple[str, ...]
    negatives: tuple[str, ...]
    vectors: np.ndarray
    by: Literal["model", "questions"]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return (*self.id_labels, *self.negatives)

    @cached_property
    def known(self) -> np.ndarray:
        """(n,) the rows of the labels of which something is known."""
        return np.flatnonzero(self.vectors.any(axis=1))

    def around(self, label: str, count: int) -> list[str]:
        """The labels most similar to one of them, the nearest first; none for a label that is not there."""
        rows, found = self.known, []
        if label in self.labels:
            place = np.flatnonzero(rows == self.labels.index(label))
            if len(place):
                near = maps.around(self.vectors[rows], int(place[0]), count)
                found = [self.labels[row] for row in rows[near]]
        return found

    def key(self, how: Projection) -> str:
        """Of their map."""
        return digest(f"{run_maps.VERSION} {how} {self.vectors.shape}".encode() + self.vectors.tobytes())


def by_model(run: Run, encoder: "CachedEncoder", before: Run | None = None) -> LabelVectors:
    """By the model's features of the labels, which those that are missing are embedded for; with those of the run of
    `before`, a label that is an ID class of either being no negative.

    Raises NegRefineError where the run is another model's.
    """
    from .pipeline import check_model, noun_templates  # here: torch takes seconds to import

    check_model(run, encoder)
    runs, nouns = (run, before) if before else (run,), noun_templates(run)
    classes = dict.fromkeys(label for each in runs for label in each.id_labels)
    mined = {negative.label: negative for each in runs for negative in each.reviewable}
    id_labels = tuple(classes)
    negatives = [negative for label, negative in mined.items() if label not in classes]
    names = tuple(negative.label for negative in negatives)
    features = np.empty((len(id_labels) + len(names), encoder.dim), dtype=np.float32)  # (P + N, D)
    features[: len(id_labels)] = encoder.encode_labels(id_labels, nouns).numpy()
    for pos, templates in (("noun", nouns), ("adjective", ADJECTIVE_TEMPLATES)):
        rows = [row for row, negative in enumerate(negatives) if negative.pos == pos]
        if rows:
            embedded = encoder.encode_labels([names[row] for row in rows], templates).numpy()
            features[np.array(rows) + len(id_labels)] = embedded
    return LabelVectors(id_labels, names, features, "model")


def by_questions(run: Run) -> LabelVectors:
    """By the ID classes that the judge was asked about each negative: 1 for the first, 1/2 for the second, and so on;
    an ID class stands for itself."""
    id_labels = tuple(dict.fromkeys(run.id_labels))  # ImageNet's names name two twice
    names = tuple(negative.label for negative in run.reviewable)
    place = {label: i for i, label in enumerate(id_labels)}
    asked: dict[str, dict[int, None]] = {}
    for verdict in run.verdicts:
        if verdict.judge == run.judge and verdict.id_label in place:
            asked.setdefault(verdict.negative, {})[place[verdict.id_label]] = None
    vectors = np.zeros((len(place) + len(names), len(place)), dtype=np.float32)  # (P + N, P)
    vectors[: len(place)] = np.eye(len(place))
    for row, name in enumerate(names, len(place)):
        classes = list(asked.get(name, ()))
        vectors[row, classes] = 1 / np.arange(1, len(classes) + 1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (P + N, 1)
    return LabelVectors(id_labels, names, vectors / np.maximum(lengths, 1e-9), "questions")


def draw(labels: LabelVectors, how: Projection, progress: Progress | None = None) -> Map:
    """The map of the labels of which something is known, kept. Raises NegRefineError where it cannot be kept."""
    made = Map(labels.known, maps.projected(how, labels.vectors[labels.known], progress))
    run_maps.keep(labels.key(how), made)
    return made
