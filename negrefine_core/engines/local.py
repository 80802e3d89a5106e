"""This machine: one model, and threads that read the pictures for it."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..cache import CachedEncoder
from ..embedding import EmbeddedChunk, embed_images
from ..hyperparameters import WORKERS
from ..image_sets import ImageSet
from ..progress import Progress
from ..scorers import Recipe, Scorer
from . import Scored


@dataclass(frozen=True)
class LocalEngine:
    encoder: CachedEncoder
    workers: int = WORKERS

    def score(self, image_set: ImageSet, recipe: Recipe, progress: Progress | None = None) -> Iterator[Scored]:
        scorer = Scorer(self.encoder, recipe)
        for chunk in embed_images(self.encoder, image_set, progress, self.workers):
            yield scored(scorer, image_set, chunk)


def scored(scorer: Scorer, image_set: ImageSet, chunk: EmbeddedChunk) -> Scored:
    skipped = tuple((image_set.paths[i], reason) for i, reason in chunk.skipped)
    return Scored(scorer.table(image_set, chunk), skipped)
