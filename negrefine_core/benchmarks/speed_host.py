"""What the host alone could feed a graphics card: each stage of scoring but the model, in the worst case.

The model here costs nothing, and no two images share a pair: 25 pairs x 8 templates = 200 texts an image.
"""

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from torch import Tensor

from ..cache import CachedEncoder
from ..detector import SCORE_CHUNK
from ..embedding import content_hashes, embed_images
from ..encoder import LABEL_CHUNK_CUDA, TREE_BATCH, OpenClipEncoder
from ..hyperparameters import TOP_K, WORKERS
from ..image_sets import open_image_set, read_image
from ..labels import NOUN_TEMPLATES, read_class_list
from ..lexicon import candidates
from ..models import PRESETS
from ..progress import Progress
from ..run_files.scores import ScoresInfo, write_scores
from ..text_tower import PrefixTree, prefix_tree
from .speed import RandomEncoder, WorstCaseDetector, negatives, unlike_pairs, write_pictures

PAIRS = TOP_K**2  # an image's
UNLIKE = 1  # the seed of pictures' features, which are not to be their labels'


@dataclass(frozen=True)
class Stage:
    """What `images` images took: `seconds` by the clock and `busy` seconds of processor time, of all cores together."""

    name: str
    images: int
    seconds: float
    busy: float
    note: str = ""

    @property
    def rate(self) -> float:
        """Images a second, with all cores."""
        return self.images / self.seconds

    @property
    def rate_per_core(self) -> float:
        """Images a second that one core does when nothing else is at work."""
        return self.images / self.busy


class FreeEncoder(OpenClipEncoder):
    """A model whose towers cost nothing and give random features; what comes before and after them is done, as it is
    for a graphics card."""

    frees_processor = True
    label_chunk = LABEL_CHUNK_CUDA
    _drawn: Tensor | None = None

    def __init__(self, model: str, pretrained: str | None) -> None:
        name, tag = PRESETS[model] if pretrained is None and model in PRESETS else (model, pretrained)
        super().__init__(name, tag, "cpu")
        self._drawn = RandomEncoder(self.dim, UNLIKE).random_features(TREE_BATCH)  # (TREE_BATCH, D)

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        return super().encode_pixels(pixels) if self._drawn is None else self._drawn[: len(pixels)]

    def encode_tree(self, tree: PrefixTree) -> Tensor:
        return super().encode_tree(tree) if self._drawn is None else self._drawn[: len(tree.ends)]


class FreePairs(RandomEncoder):
    """Features of any labels at no cost."""

    label_chunk = LABEL_CHUNK_CUDA

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self._drawn = self.random_features(SCORE_CHUNK * PAIRS)  # (SCORE_CHUNK x 25, D)

    def encode_labels(
        self, labels: Sequence[str], templates: Sequence[str], progress: Progress | None = None
    ) -> Tensor:
        return self._drawn[: len(labels)]


def measure(model: str, pretrained: str | None, images: int, workers: int = WORKERS) -> Iterator[Stage]:
    """Each stage alone, then all of them together as scoring does them; caches are fresh. All together are held
    against decoding before and after them, as a machine's speed changes from one moment to the next."""
    model_free = FreeEncoder(model, pretrained)
    ids = read_class_list("imagenet").labels
    words = negatives(candidates(ids))
    detector = WorstCaseDetector(FreePairs(model_free.dim), ids, words)
    pairs = unlike_pairs(ids, words, images)
    features = RandomEncoder(model_free.dim, UNLIKE).random_features(images)  # (B, D)
    with tempfile.TemporaryDirectory() as made, ThreadPoolExecutor(workers) as pool:
        folder = Path(made)
        image_set = open_image_set(write_pictures(folder / "images", images))
        files = [image_set.root / path for path in image_set.paths]

        def decode(file: Path) -> None:
            model_free.preprocess(read_image(file))

        def stage(name: str, work: Callable[[], Iterable[object]]) -> Stage:
            os.sync()  # what was written before costs this stage nothing
            start, busy = time.perf_counter(), time.process_time()
            deque(work(), maxlen=0)  # what is made one by one is dropped one by one
            return Stage(name, images, time.perf_counter() - start, time.process_time() - busy)

        def decoding() -> Stage:
            return stage("decoding and preprocessing", lambda: pool.map(decode, files))

        before = decoding()
        yield before
        yield stage("hashing", lambda: content_hashes(pool, files))
        trees = list(model_free.trees(pairs, NOUN_TEMPLATES))  # meets each word
        parts = _parts(pairs, LABEL_CHUNK_CUDA)
        yield stage("token rows", lambda: (model_free.tokens.rows(part, NOUN_TEMPLATES) for part in parts))
        yield stage("prefix trees", lambda: (prefix_tree(tree.rows, tree.lengths) for tree in trees))
        yield stage("similarities, groups and matches", lambda: [detector.score_features(features)])
        keeping = CachedEncoder(FreePairs(model_free.dim), folder / "kept")
        yield stage(
            "keeping pair features",
            lambda: (keeping.encode_labels(part, NOUN_TEMPLATES) for part in _parts(pairs, SCORE_CHUNK * PAIRS)),
        )
        table = detector.score_features(features)
        yield stage("writing scores", lambda: _written(folder / "alone.parquet", [table]))

        encoder = CachedEncoder(model_free, folder / "features")
        detector.encoder = encoder
        tables = (detector.score_features(chunk.features) for chunk in embed_images(encoder, image_set, None, workers))
        together = stage("all together", lambda: _written(folder / "scores.parquet", tables))
        alone = (before.seconds + decoding().seconds) / 2
        yield replace(together, note=f"{alone / together.seconds:.2f} x decoding alone")


def _parts(pairs: list[str], together: int) -> Iterator[list[str]]:
    return (pairs[start : start + together] for start in range(0, len(pairs), together))


def _written(path: Path, tables: Iterable[pd.DataFrame]) -> list[Path]:
    write_scores(path, tables, lambda: ScoresInfo(image_set="images", root=str(path.parent)))
    return [path]
