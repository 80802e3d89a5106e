"""Speed and memory with a million images, of generated features and scores: scoring, decisions and Explore's reads."""

import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import operating_point
from ..cache import CachedEncoder
from ..detector import NegRefineDetector
from ..effects import Effects
from ..embedding import IMAGE_CHUNK
from ..feature_store import room_for
from ..records import Negative
from ..run_files.bundled import BUNDLED_RUN
from ..run_files.scores import PART, together
from ..runs import Run, Settings
from ..show import charts
from ..show.csv import csv_of
from .memory import peak_memory
from .speed import N_ADJECTIVES, N_NOUNS, Measurement, RandomEncoder, images_of_classes, timed
from .speed_host import FreePairs

DIM = 512  # as ViT-B/16 has
MANY, PAPER = 1_000_000, 75_000  # images; the second as many as the paper's four sets and ImageNet's own hold
CLASSES = 1000
IDS = [f"class {i}" for i in range(998)]
NEGATIVES = [Negative(f"negative {i}", "noun", 0.1) for i in range(N_NOUNS + N_ADJECTIVES)]
RESTORED = Negative("restored", "noun", 0.1)
SEEN = 2048  # images among which the label that attracts most is looked for
PAGE, SCORE = 24, "negrefine"


def measure(images: int = MANY) -> Iterator[Measurement]:
    """Each by itself in a process of its own, so that its peak memory counts."""
    yield from alone(_scoring, images)
    for count in sorted({min(PAPER, images), images}):
        yield from alone(_deciding, count)
    yield from alone(_exploring, images)


def alone(work: Callable[[int], list[Measurement]], count: int) -> list[Measurement]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (count,))


def _scoring(count: int) -> list[Measurement]:
    """From known features, chunk by chunk, into a run's file."""
    random = RandomEncoder(DIM)
    detector = _detector(random)

    def tables() -> Iterator[pd.DataFrame]:
        for number, chunk in enumerate(_chunks(random, count)):
            table = detector.score_features(chunk)
            table.insert(0, "path", [f"{number}/{i}.png" for i in range(len(table))])
            yield table

    with tempfile.TemporaryDirectory() as folder:
        run = Run.create("many", Settings(), IDS, Path(folder))
        seconds = timed(lambda: run.write_scores("images", Path(folder), tables()))
    return [Measurement("scoring known features into a run", count, "images", seconds, note=_memory(_labels()))]


def _deciding(count: int) -> list[Measurement]:
    """A label that attracts many images is dropped and another restored, then both are taken back: a decision, and what
    the next would do. Pairs are known, as in a run that was reviewed before."""
    random = RandomEncoder(DIM)
    features = torch.from_numpy(room_for(count, DIM))
    start = 0
    for chunk in _chunks(random, count):
        features[start : start + len(chunk)] = chunk
        start += len(chunk)
    detector = _detector(random)
    attracted = detector.score_features(features[:SEEN])["negative_labels"]
    dropped = Counter(labels[0] for labels in attracted).most_common(1)[0][0]
    found: list[Effects] = []
    anew = timed(lambda: found.append(Effects(detector, features)))
    fewer = [negative for negative in NEGATIVES if negative.label != dropped]

    def decide() -> None:
        found[0].with_negatives(fewer).restore(RESTORED)
        found[0].with_negatives([*NEGATIVES, RESTORED]).drop(dropped)

    with tempfile.TemporaryDirectory() as folder:
        detector.encoder = CachedEncoder(random, Path(folder))
        decide()  # meets each pair
        seconds = timed(decide) / 2
    note = _memory(f"{_labels()}; with the next one's effect; plain = all compared anew")
    return [Measurement("a decision's effect", count, "images", seconds, anew, note)]


def _exploring(count: int) -> list[Measurement]:
    """What Explore's page reads and works out, a third of the images being OOD."""
    with tempfile.TemporaryDirectory() as folder:
        run = write_large_run(Path(folder), count - count // 3, count // 3)
        names = ["inside", "outside"]
        found: list[pd.DataFrame] = []

        def read() -> None:
            found.append(together([run.flat_scores(name).assign(is_id=name == names[0]) for name in names]))

        rows = [Measurement("Explore: first reading", count, "images", timed(read), note="once a server")]
        (table,) = found
        at = operating_point.threshold(table, SCORE)

        def tiles() -> None:
            operating_point.threshold(table, SCORE)
            operating_point.outcomes(table, SCORE, at).value_counts()

        def page() -> None:
            margin = table[SCORE] - at
            wrong = margin.where(table["is_id"], -margin).to_numpy()
            shown = np.argsort(wrong, kind="stable")[:PAGE]
            inside = int(table["is_id"].sum())
            for name, start in ((names[0], 0), (names[1], inside)):
                of_set = shown[(shown >= inside) == (start > 0)] - start
                run.score_lists(name, of_set.tolist())

        interactions = {
            "histogram": lambda: charts.histogram(table, SCORE, at),
            "curve": lambda: charts.roc(table, SCORE, at),
            "threshold and tiles": tiles,
            "page, most wrong first": page,
        }
        for name, work in interactions.items():
            work()  # loads what draws it
            rows.append(Measurement(f"Explore: {name}", count, "images", timed(work)))
        size = 0

        def written() -> None:
            nonlocal size
            size = len(csv_of(table.assign(threshold=at)))

        csv_of(table.head())  # loads what writes it
        seconds = timed(written)
        note = _memory(f"{size / 1e6:,.0f} MB")
        return [*rows, Measurement("Explore: CSV of all images", count, "images", seconds, note=note)]


def write_large_run(folder: Path, inside: int, outside: int) -> Run:
    """A run `many` with the bundled run's scores over and over, each image's its own: so many ID images (`inside`), and
    of something else (`outside`)."""
    demo, draw = Run.open(BUNDLED_RUN), np.random.default_rng(0)
    run = Run.create("many", demo.settings, demo.id_labels, folder)
    for name, like, rows in (("inside", demo.known_id_set(), inside), ("outside", demo.ood_sets[0], outside)):
        run.write_scores(name, demo.image_root(like), drawn(demo.scores(like), rows, draw))
        run.set_role(name, "ID" if name == "inside" else "OOD")
    return run


def drawn(table: pd.DataFrame, rows: int, draw: np.random.Generator) -> Iterator[pd.DataFrame]:
    """So many of the table's images, over and over, each with a score of its own; as scoring writes them."""
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        part = table.iloc[draw.integers(len(table), size=count)].reset_index(drop=True)
        noise = draw.normal(0, 0.01, count).astype("float32")
        yield part.assign(**{SCORE: part[SCORE] + noise})


def _detector(random: RandomEncoder) -> NegRefineDetector:
    """Its pairs cost nothing."""
    detector = NegRefineDetector(random, IDS, [negative.label for negative in NEGATIVES])
    detector.encoder = FreePairs(random.dim)
    return detector


def _chunks(random: RandomEncoder, count: int) -> Iterator[Tensor]:
    """(b, D) features near one of 1,000 centres, a chunk at a time."""
    centres = random.random_features(CLASSES)
    for rows in torch.split(torch.arange(count), IMAGE_CHUNK):
        yield images_of_classes(random, centres, len(rows))


def _labels() -> str:
    return f"{len(IDS)} ID labels, {len(NEGATIVES):,} negatives"


def _memory(note: str) -> str:
    return f"{note}; peak memory {peak_memory() / 1e9:.2f} GB"
