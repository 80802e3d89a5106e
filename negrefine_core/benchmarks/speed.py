"""Speed and memory against a plain loop that does what the published code does, in one run on the machine at hand."""

import itertools
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .. import scoring
from ..cache import CachedEncoder
from ..detector import DetectorConfig, NegRefineDetector
from ..embedding import embed_images
from ..encoder import LABEL_CHUNK, Encoder, OpenClipEncoder, load_encoder
from ..hyperparameters import IN_FLIGHT, TOP_K
from ..image_sets import open_image_set, read_image
from ..labels import NOUN_TEMPLATES, fill, read_class_list
from ..lexicon import Candidates, candidates
from ..mining import mine_negatives
from ..progress import Progress
from ..run_files.bundled import BUNDLED_RUN
from ..runs import Run
from . import speed_judge
from .memory import peak_memory

N_NOUNS, N_ADJECTIVES = 4998, 1372  # the published run's final negatives
RESCORED, IN_MEMORY = 10_000, 50_000  # images
TOKEN_PAIRS, PLAIN_PAIRS = 10_000, 250
LEXICON_SAMPLE, FULL_CONTEXT_SAMPLE = 512, 64  # labels; texts


@dataclass(frozen=True)
class Measurement:
    """`seconds` for `count` units; `plain` is the seconds that the plain way needs for as many, where there is one."""

    name: str
    count: int
    unit: str
    seconds: float
    plain: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.plain is None else self.plain / self.seconds


def measure(model: str, pretrained: str | None, device: str, n_images: int, n_plain: int) -> Iterator[Measurement]:
    """All measurements with one model, one after the other; caches are fresh, so that cold is cold.

    `n_plain` of the `n_images` pictures go through the plain loop, whose time is scaled up.
    """
    encoder = load_encoder(model, pretrained, device)
    ids = read_class_list("imagenet").labels
    words = candidates(ids)
    with tempfile.TemporaryDirectory() as folder:
        yield from _scoring(encoder, ids, words, Path(folder), n_images, n_plain)
        yield _token_rows(encoder, ids, words)
        yield _lexicon(encoder, words)
        yield _remining(encoder.dim, ids, words, Path(folder))
        yield _rescoring(encoder.dim, ids, words, Path(folder))
    yield _memory(encoder.dim)
    yield _judging()


# --- the plain loop -------------------------------------------------------------------------------------------------


def plain_scores(
    encoder: OpenClipEncoder, image: Image.Image, detector: NegRefineDetector, top: tuple[Tensor, Tensor] | None = None
) -> tuple[float, float]:
    """(NegLabel, multi-matching) of one image as the published code goes about it: group by group, and 25 pairs x 8
    templates = 200 texts at full context for each image.

    `top` gives the ID labels and the negatives to pair, in place of the image's own top 5.
    """
    feature = encoder.encode_images([image])[0]  # (D,)
    pos_sim = scoring.LOGIT_SCALE * detector.id_features @ feature  # (P,)
    neg_sim = scoring.LOGIT_SCALE * detector.negative_features @ feature  # (N,)
    groups = neg_sim[detector.permutation].chunk(detector.config.n_groups)
    masses = [float(torch.cat([pos_sim, group]).softmax(0)[: len(pos_sim)].sum()) for group in groups]
    top_pos, top_neg = top or (pos_sim.topk(5).indices, neg_sim.topk(5).indices)
    best = 0.0
    pairs = [(p, n) for p in top_pos.tolist() for n in top_neg.tolist()]
    texts = [fill(t, f"{detector.id_labels[p]} and {detector.negatives[n]}") for p, n in pairs for t in NOUN_TEMPLATES]
    raw = encoder.full_context_features(texts).view(len(pairs), len(NOUN_TEMPLATES), -1)  # (25, 8, D)
    for (_, negative), templates in zip(pairs, raw, strict=True):
        pair_sim = scoring.LOGIT_SCALE * functional.normalize(templates.mean(0), dim=0) @ feature
        best = max(best, float(torch.sigmoid(pair_sim - neg_sim[negative])))
    return sum(masses) / len(masses), best


# --- stand-ins, where the values do not change the time ---------------------------------------------------------------


class RandomEncoder:
    """Random label features at once, for measurements in which every text was embedded before."""

    name = "random"

    def __init__(self, dim: int, seed: int = 0) -> None:
        self.dim, self.fingerprint = dim, f"random-{dim}"
        self._generator = torch.Generator().manual_seed(seed)

    def random_features(self, count: int) -> Tensor:
        """(count, D) L2-normalised."""
        return functional.normalize(torch.randn(count, self.dim, generator=self._generator), dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return self.random_features(len(texts))

    def encode_labels(
        self, labels: Sequence[str], templates: Sequence[str], progress: Progress | None = None
    ) -> Tensor:
        return self.random_features(len(labels))

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        return self.random_features(len(images))


class WorstCaseDetector(NegRefineDetector):
    """Draws each image's labels to pair at random, so that hardly two images share one; label features are random.

    With random weights all images would share their top labels, which is the best case.
    """

    def __init__(self, encoder: Encoder, id_labels: Sequence[str], negatives: Sequence[str]) -> None:
        random = RandomEncoder(encoder.dim)
        self.encoder, self.config = encoder, DetectorConfig()
        self.id_labels, self.negatives = list(id_labels), list(negatives)
        self.id_features = random.random_features(len(id_labels))
        self.negative_features = random.random_features(len(negatives))
        self.permutation = scoring.group_permutation(len(negatives))
        self.restart()

    def restart(self) -> None:
        """Draw the same labels again from the first image on."""
        self._generator = torch.Generator().manual_seed(0)

    def _top(self, sim: Tensor) -> tuple[Tensor, Tensor]:
        _, best = super()._top(sim)  # (B, K), which take their time
        shift = torch.randint(sim.shape[1], (len(sim), 1), generator=self._generator)  # (B, 1)
        drawn = (best + shift) % sim.shape[1]  # (B, K)
        return sim.gather(1, drawn), drawn


# --- measurements ---------------------------------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> float:
    """The seconds that it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write_pictures(folder: Path, count: int) -> Path:
    """Noise pictures of ImageNet's usual size."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(count):
        small = Image.fromarray(generator.integers(0, 256, (47, 63, 3), dtype=np.uint8))
        small.resize((500, 375)).save(folder / f"{i:05}.jpg")
    return folder


def negatives(words: Candidates) -> tuple[str, ...]:
    """As many words as the published run has negatives, from all over the lexicon."""
    nouns = words.nouns[:: len(words.nouns) // N_NOUNS][:N_NOUNS]
    return nouns + words.adjective_phrases[:: len(words.adjective_phrases) // N_ADJECTIVES][:N_ADJECTIVES]


def unlike_pairs(ids: Sequence[str], negatives: Sequence[str], images: int) -> list[str]:
    """5 ID labels x 5 negatives an image; hardly two images share a pair."""
    return [
        f"{ids[id_label % len(ids)]} and {negatives[7 * negative % len(negatives)]}"
        for first in range(0, images * TOP_K, TOP_K)
        for id_label, negative in itertools.product(range(first, first + TOP_K), repeat=2)
    ]


def _scoring(
    model: OpenClipEncoder, ids: Sequence[str], words: Candidates, folder: Path, n_images: int, n_plain: int
) -> Iterator[Measurement]:
    """Image encoding alone as the floor, and NegRefine scoring cold and warm, where no two images share a pair."""
    image_set = open_image_set(write_pictures(folder / "images", n_images))
    opened = [read_image(image_set.root / path) for path in image_set.paths[:n_plain]]
    encoder = CachedEncoder(model, folder / "scoring")
    detector = WorstCaseDetector(encoder, ids, negatives(words))
    model.encode_images(opened[:1])  # the first call pays for what torch sets up
    top = (torch.arange(5), torch.arange(0, 5000, 1000))
    plain = timed(lambda: [plain_scores(model, image, detector, top) for image in opened]) / len(opened) * n_images

    def embed(encoder: CachedEncoder) -> None:
        for _ in embed_images(encoder, image_set):
            pass

    def score() -> None:
        detector.restart()
        for chunk in embed_images(encoder, image_set):
            detector.score_features(chunk.features)

    floor = timed(lambda: embed(CachedEncoder(model, folder / "floor")))
    yield Measurement("image encoding alone", n_images, "images", floor, plain)
    yield Measurement("scoring, cold", n_images, "images", timed(score), plain, "no two images share a pair")
    shutil.rmtree(encoder.folder / "images")
    warm = timed(score)
    yield Measurement("scoring, pairs known", n_images, "images", warm, plain, f"{warm / floor:.2f} x image encoding")
    yield Measurement("scoring, all known", n_images, "images", timed(score), plain, _repeated_pairs())


def _repeated_pairs() -> str:
    """How many of the bundled run's pairs were needed by an earlier image too."""
    run = Run.open(BUNDLED_RUN)
    tables = [run.scores(name)[["id_labels", "negative_labels"]] for name in run.scored_sets]
    rows = itertools.chain.from_iterable(table.itertuples(index=False) for table in tables)
    pairs = [pair for ids, negatives in rows for pair in itertools.product(ids, negatives)]
    return f"in the bundled run {1 - len(set(pairs)) / len(pairs):.0%} of the pairs repeat"


def _token_rows(model: OpenClipEncoder, ids: Sequence[str], words: Candidates) -> Measurement:
    """The tokens of pairs that no two images share, whose words were met before; the plain way is open_clip's own."""
    pairs = unlike_pairs(ids, negatives(words), TOKEN_PAIRS // TOP_K**2)
    few = pairs[:: TOKEN_PAIRS // PLAIN_PAIRS]
    texts = [fill(template, pair) for pair in few for template in NOUN_TEMPLATES]
    plain = timed(lambda: model.tokens.tokenizer(texts)) * len(pairs) / len(few)
    chunks = [pairs[start : start + LABEL_CHUNK] for start in range(0, len(pairs), LABEL_CHUNK)]

    def split() -> None:
        for chunk in chunks:
            model.tokens.rows(chunk, NOUN_TEMPLATES)

    split()  # meets each word
    count = len(pairs) * len(NOUN_TEMPLATES)
    return Measurement("token rows of pairs", count, "texts", timed(split), plain, "plain = open_clip's tokenizer")


def _lexicon(model: OpenClipEncoder, words: Candidates) -> Measurement:
    sample = words.nouns[:: len(words.nouns) // LEXICON_SAMPLE][:LEXICON_SAMPLE]
    texts = [fill(template, label) for label in sample for template in NOUN_TEMPLATES]
    plain = timed(lambda: model.full_context_features(texts[:: len(texts) // FULL_CONTEXT_SAMPLE]))
    seconds = timed(lambda: model.encode_labels(sample, NOUN_TEMPLATES))
    plain *= len(texts) / len(texts[:: len(texts) // FULL_CONTEXT_SAMPLE])
    return Measurement("embedding the lexicon, cold", len(sample), "labels", seconds, plain, "plain = full context")


def _remining(dim: int, ids: Sequence[str], words: Candidates, folder: Path) -> Measurement:
    encoder = CachedEncoder(RandomEncoder(dim), folder / "lexicon")
    mine_negatives(encoder, ids, words)
    seconds = timed(lambda: mine_negatives(encoder, ids, words))
    count = len(words.nouns) + len(words.adjectives)
    return Measurement("re-mining, lexicon known", count, "candidates", seconds, note=f"{len(ids)} ID labels")


def _rescoring(dim: int, ids: Sequence[str], words: Candidates, folder: Path) -> Measurement:
    """Images that resemble one of 1,000 classes are scored, then again with 100 of the negatives exchanged."""
    random = RandomEncoder(dim)
    encoder = CachedEncoder(random, folder / "rescoring")
    nouns = [*negatives(words), *words.nouns[1:200:2]]
    images = images_of_classes(random, random.random_features(1000), RESCORED)
    NegRefineDetector(encoder, ids, nouns[:-100]).score_features(images)
    NegRefineDetector(encoder, ids, nouns[100:])  # embeds the new negatives
    seconds = timed(lambda: NegRefineDetector(encoder, ids, nouns[100:]).score_features(images))
    return Measurement(
        "re-scoring, new negatives",
        RESCORED,
        "images",
        seconds,
        note=f"{len(ids)} ID labels, {len(nouns) - 100} negatives; new pairs not encoded",
    )


def images_of_classes(random: RandomEncoder, centres: Tensor, count: int) -> Tensor:
    """(count, D) features near one of the centres (C, D) in turn, as the images of a class are."""
    near = centres[torch.arange(count) % len(centres)]  # (count, D)
    return functional.normalize(near + 0.1 * random.random_features(count), dim=1)


def _memory(dim: int) -> Measurement:
    """Peak memory of scoring many images' features, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, peak = pool.apply(_score_in_memory, (dim, IN_MEMORY))
    return Measurement("scoring known features", IN_MEMORY, "images", seconds, note=f"peak memory {peak / 1e9:.2f} GB")


def _score_in_memory(dim: int, count: int) -> tuple[float, int]:
    """(Seconds, the process's peak memory in bytes) of scoring so many images' features."""
    random = RandomEncoder(dim)
    detector = NegRefineDetector(random, [str(i) for i in range(1000)], [str(i) for i in range(N_NOUNS + N_ADJECTIVES)])
    images = images_of_classes(random, random.random_features(1000), count)
    seconds = timed(lambda: detector.score_features(images))
    return seconds, peak_memory()


def _judging() -> Measurement:
    """A judge whose server takes its time, asked about many labels at once; the published code asks one by one."""
    labels = speed_judge.LABELS
    one_by_one = speed_judge.LABELS_ONE_BY_ONE
    with speed_judge.slow_server() as url:
        plain = speed_judge.judging_seconds(url, one_by_one, 1) * labels / one_by_one
        seconds = speed_judge.judging_seconds(url, labels, IN_FLIGHT)
    ideal = labels * speed_judge.REPLY_SECONDS / IN_FLIGHT
    note = f"{IN_FLIGHT} in flight, {speed_judge.REPLY_SECONDS:g} s a reply: {ideal / seconds:.0%} of the ideal rate"
    return Measurement("judging", labels, "labels", seconds, plain, note)
