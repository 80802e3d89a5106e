"""What an image set is scored with: the detectors of a run's lists of negatives, on one encoder."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch

from . import methods
from .detector import DetectorConfig, NegRefineDetector
from .embedding import EmbeddedChunk
from .encoder import Encoder
from .image_sets import ImageSet, class_folder
from .methods import Negatives
from .run_files.scores import CONTENT


@dataclass(frozen=True)
class DetectorParts:
    """What a detector is made of, but for the model and the ID labels; plain values, which another machine can be
    sent."""

    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    config: DetectorConfig
    permutation: tuple[int, ...] | None = None

    def detector(self, encoder: Encoder, id_labels: tuple[str, ...]) -> NegRefineDetector:
        permutation = torch.tensor(self.permutation, dtype=torch.long) if self.permutation else None
        return NegRefineDetector(encoder, id_labels, self.nouns, self.adjectives, self.config, permutation)


@dataclass(frozen=True)
class Recipe:
    """All that the scores of a run's images follow from, but for the model: the final negatives, and by what they hold
    the other lists that methods compare with."""

    id_labels: tuple[str, ...]
    refined: DetectorParts
    others: Mapping[Negatives, DetectorParts]

    @property
    def key(self) -> str:
        """A hash that tells it from every other."""
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()


class Scorer:
    """Every method's score of embedded images, by a recipe."""

    def __init__(self, encoder: Encoder, recipe: Recipe) -> None:
        self._refined = recipe.refined.detector(encoder, recipe.id_labels)
        self._others = {kind: parts.detector(encoder, recipe.id_labels) for kind, parts in recipe.others.items()}

    def table(self, image_set: ImageSet, chunk: EmbeddedChunk) -> pd.DataFrame:
        """A row of scores for each readable picture of a chunk, with its `path` and `class` first and the hash of what
        its file held last."""
        others = [
            detector.score_with(
                methods.comparing_with(negatives), chunk.features, "mined_labels" if negatives == "mined" else ""
            )
            for negatives, detector in self._others.items()
        ]
        table = pd.concat([self._refined.score_features(chunk.features), *others], axis="columns")
        paths = [image_set.paths[i] for i in chunk.indices]
        table.insert(0, "path", paths)
        table.insert(1, "class", [class_folder(path) for path in paths])
        return table.assign(**{CONTENT: list(chunk.hashes)})
