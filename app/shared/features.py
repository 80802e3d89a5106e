"""The one place where the app loads models and features: lazily, as torch takes seconds to import, and once a server.

    if not features.ready(run):      # cheap: what the model must still embed, read from the cache's index
        features.offer(run)          # says what it takes, with one button that does it
        return
    detector = features.detector(run)                      # the run's own, for single images or many
    pictures = features.image_features(run, "animals")     # those of an image set that have some, in its order
    effects = features.effects(run, ("animals", "food"))   # of single negatives on all of them

Everything is kept by the run's labels and the state of its scores: overriding or scoring again makes new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.feature_store import folder_of
from negrefine_core.overrides import judged_negatives
from negrefine_core.records import Negative
from negrefine_core.runs import Run, class_list_hash

from . import background
from .address import Address
from .cached import cached_by

if TYPE_CHECKING:
    from torch import Tensor

    from negrefine_core.cache import CachedEncoder
    from negrefine_core.detector import NegRefineDetector
    from negrefine_core.effects import Effects

FEW = 128  # labels: a second or two of embedding
AT_ONCE = 64  # pictures whose pairs are embedded between two signs of progress


@dataclass(frozen=True)
class ImageFeatures:
    """`paths` of the pictures of `image_set` that have features, their `rows` (n,) among all `scored` ones, and their
    L2-normalised features (n, D)."""

    image_set: str
    paths: tuple[str, ...]
    rows: np.ndarray
    scored: int
    features: Tensor

    @property
    def addresses(self) -> list[str]:
        return [str(Address(self.image_set, path)) for path in self.paths]


def ready(run: Run) -> bool:
    """Whether the text features of the run's labels are in the cache, all but a few, so that its detector is there in
    a moment: a label that was just restored is embedded on the way."""
    return _missing(run) <= FEW


def checked(run: Run, doing: str) -> bool | None:
    """`ready`, found out aside from the page: None and a sign of waiting, as the model may have to be loaded for it."""
    return background.result(("ready", run.state("run.json", "negatives.csv")), lambda: ready(run), doing)


def at_hand(run: Run, doing: str, gain: str | None = "") -> bool:
    """Whether the run is `ready`; else a sign of waiting, or the offer to make it so for a gain (none where None)."""
    there = checked(run, doing)
    if there is None:
        return False
    if there or ready(run):  # it may have been embedded since
        return True
    if gain is not None:
        offer(run, gain)
    return False


def offer(run: Run, gain: str = "") -> None:
    """Say that the labels are not embedded yet and what is gained by it, and do so at the press of a button."""
    model = run.info.model_name
    st.info(
        f"The model {model} has not embedded this run’s {_missing(run):,} labels on this computer yet. It does so "
        "once: within a minute with the bundled model, longer with a larger one without a GPU."
        + (f" Then you see {gain}." if gain else ""),
        icon=":material/hourglass_empty:",
    )
    above, button = st.empty(), st.empty()
    if button.button("Embed the labels", icon=":material/play_arrow:", type="primary", key="prepare"):
        button.button("Cancel", icon=":material/close:", key="stop_preparing", help="What is embedded by then is kept.")
        prepare(run, above.progress(0.0, "Loading the model"))  # which any click ends, at the next sign of progress
        st.rerun()


def prepare(run: Run, bar: st.delta_generator.DeltaGenerator) -> None:
    """Embed what is missing, with progress: the labels, the scored pictures, and the pairs of labels that they match.

    What is done is kept, also when the page is left half-way.
    """
    from negrefine_core.effects import Effects
    from negrefine_core.embedding import joined

    model = encoder(run)
    for what, (labels, templates) in zip(("ID classes", "nouns", "adjectives"), _labels(run), strict=True):
        model.encode_labels(labels, templates, _shown(bar, f"Embedding the {what}"))
    if run.scored_sets:
        bar.progress(0.0, "Embedding the pictures")
        pictures = joined([image_features(run, name).features for name in run.scored_sets])
        shown = _shown(bar, "Embedding the pairs of labels that the pictures match, by picture")
        for start in range(0, len(pictures), AT_ONCE):
            shown(start, len(pictures))
            Effects(detector(run), pictures[start : start + AT_ONCE])


def _shown(bar: st.delta_generator.DeltaGenerator, what: str) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"{what}: {done:,} of {total:,}")

    return progress


def encoder(run: Run) -> CachedEncoder:
    """The run's model. Raises NegRefineError when its weights cannot be had, or are not the run's."""
    from negrefine_core import pipeline

    loaded = _encoder(run.settings.model, run.settings.pretrained)
    pipeline.check_model(run, loaded)
    return loaded


def _labels_key(run: Run) -> tuple[str, str]:
    """What tells a run's labels from others, also from its own before a decision: an undo finds what was there."""
    return str(run.folder), class_list_hash([*run.id_labels, *(f"{n.pos} {n.label}" for n in run.negatives)])


@cached_by(_labels_key, max_entries=4, spinner="Preparing the labels", keep="itself")
def detector(run: Run) -> NegRefineDetector:
    """The run's detector with its final negatives."""
    from negrefine_core import pipeline

    return pipeline.detector(run, encoder(run))


@cached_by(
    lambda run, image_set: (image_set, run.state(scores=[image_set])),
    max_entries=24,
    spinner="Embedding the pictures",
    keep="itself",
)
def image_features(run: Run, image_set: str) -> ImageFeatures:
    """The features of a scored image set, in the order of its scores, as `pipeline.readable_features` finds them."""
    paths = run.sample(image_set, ["path"])["path"].tolist()
    rows, features = _readable(run, image_set, paths, np.arange(len(paths)))
    return ImageFeatures(image_set, tuple(paths[row] for row in rows), rows, len(paths), features)


def of_rows(run: Run, image_set: str, files: Sequence[str], wanted: np.ndarray) -> tuple[np.ndarray, Tensor]:
    """(Those of the wanted rows of a scored set with these files that have features (n,), the features (n, D))."""
    if len(wanted) == len(files):
        whole = image_features(run, image_set)
        return whole.rows, whole.features
    return _readable(run, image_set, files, wanted)


def _readable(run: Run, image_set: str, files: Sequence[str], wanted: np.ndarray) -> tuple[np.ndarray, Tensor]:
    from negrefine_core import pipeline

    return pipeline.readable_features(run, partial(encoder, run), image_set, files, wanted)


def picture_feature(run: Run, file: Path) -> Tensor:
    """The feature (1, D) of one picture file, kept in the cache. Raises NegRefineError where it cannot be read."""
    from negrefine_core.embedding import embed_images
    from negrefine_core.image_sets import ImageSet

    (chunk,) = embed_images(encoder(run), ImageSet("one", file.parent, (file.name,)), workers=1)
    if chunk.skipped:
        raise NegRefineError(f"{file.name} {chunk.skipped[0][1]}")
    return chunk.features


def effects(run: Run, image_sets: Sequence[str]) -> Effects:
    """The effects of the run's negatives on the pictures of these sets, joined in this order. After a decision only
    what it changed is worked out: every other negative keeps the group that it has by the verdicts alone."""
    followed = _followed(run, image_sets)
    followed.now = followed.now.with_negatives(run.negatives)
    return followed.now


def judged_effects(run: Run, image_sets: Sequence[str]) -> Effects:
    """The same by the verdicts alone, as if there were no overrides."""
    return _followed(run, image_sets).judged


def rows_of(run: Run, image_sets: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of the pictures of all scored sets, as `effects` has them joined: (places (n,) of those of these sets, their rows
    (n,) in the scores of these, joined)."""
    starts, total = {}, 0
    for name in run.scored_sets:
        starts[name] = total
        total += len(image_features(run, name).rows)
    places, rows, total = [], [], 0
    for name in image_sets:
        pictures = image_features(run, name)
        places.append(starts[name] + np.arange(len(pictures.rows)))
        rows.append(total + pictures.rows)
        total += pictures.scored
    return np.concatenate(places), np.concatenate(rows)


@dataclass
class _Followed:
    judged: Effects
    now: Effects


def _judged_key(run: Run) -> str:
    return class_list_hash([*run.id_labels, *(f"{n.pos} {n.label}" for n in _judged_negatives(run))])


def _judged_negatives(run: Run) -> list[Negative]:
    return judged_negatives(run) if run.overrides else run.negatives


@cached_by(
    lambda run, image_sets: (tuple(image_sets), run.state(scores=image_sets), _judged_key(run)),
    max_entries=2,
    spinner="Comparing the pictures with the negatives",
    keep="itself",
)
def _followed(run: Run, image_sets: Sequence[str]) -> _Followed:
    from negrefine_core import pipeline
    from negrefine_core.effects import Effects
    from negrefine_core.embedding import joined

    detector = pipeline.detector(run, encoder(run), _judged_negatives(run))
    judged = Effects(detector, joined([image_features(run, name).features for name in image_sets]))
    return _Followed(judged, judged)


def _missing(run: Run) -> int:
    """How many labels have no cached features. Without a cache of this model no torch is imported to find out."""
    fingerprint = run.info.fingerprint
    if not fingerprint:
        raise NegRefineError(
            f"The run {run.name!r} was imported without a model, so nothing can be computed with it. Choose another "
            "run under “Run” in the sidebar."
        )
    if not (folder_of(fingerprint) / "texts" / "features.index").exists():
        return sum(len(labels) for labels, _ in _labels(run))
    state = run.state("run.json", "negatives.csv")
    if state in _found_ready():
        return 0
    model = encoder(run)
    missing = sum(len(model.missing(labels, templates)) for labels, templates in _labels(run))
    if not missing:
        _found_ready().add(state)
    return missing


@st.cache_resource(show_spinner=False)
def _found_ready() -> set[tuple[Any, ...]]:
    """The states of runs that were found complete once; the cache only grows."""
    return set()


def _labels(run: Run) -> list[tuple[list[str], tuple[str, ...]]]:
    """The labels that the detector needs, each list with its templates."""
    from negrefine_core.labels import ADJECTIVE_TEMPLATES, NOUN_TEMPLATES, SKETCH_TEMPLATES

    nouns = SKETCH_TEMPLATES if run.settings.sketch_templates else NOUN_TEMPLATES
    negatives = run.negatives
    return [
        (run.id_labels, nouns),
        ([n.label for n in negatives if n.pos == "noun"], nouns),
        ([n.label for n in negatives if n.pos == "adjective"], ADJECTIVE_TEMPLATES),
    ]


@st.cache_resource(max_entries=2, show_spinner="Loading the model")
def _encoder(model: str, pretrained: str | None) -> CachedEncoder:
    from negrefine_core.cache import CachedEncoder
    from negrefine_core.encoder import load_encoder

    return CachedEncoder(load_encoder(model, pretrained))
