"""How similar images are to words, or to one of them, by the features of the run's model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from negrefine_core.errors import NegRefineError
from negrefine_core.paths import file_state
from negrefine_core.pictures import locate
from negrefine_core.runs import Run

from . import background, features
from .address import Address

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 200  # characters: models read the first 77 tokens of a text, mostly


def similarities(run: Run, image_sets: Sequence[str], words: str = "", like: str = "") -> pd.Series | None:
    """100 x cosine of each image of the sets, as far as it has a feature, with words or with an image, by address; None
    and a sign of work under way.

    Raises NegRefineError for what cannot be searched for.
    """
    sought = what(run, words, like)
    key = ("search", run.info.fingerprint, run.state(scores=image_sets), sought)
    return background.result(key, lambda: _similarities(run, image_sets, words, like), "Comparing the pictures")


def what(run: Run, words: str, like: str) -> tuple[object, ...]:
    """A key for what is searched for. Raises NegRefineError where that is too long a text, or no picture of the run."""
    if words:
        if len(words) > LONGEST:
            raise NegRefineError(
                f"The text to search for has {len(words):,} characters; a model reads the beginning alone. Search for "
                f"at most {LONGEST}."
            )
        return (words,)
    picture = Address.parse(like)
    file = locate(run, picture.image_set, picture.path)
    return str(file), file_state(file)


def feature(run: Run, words: str, like: str) -> "Tensor":
    """(1, D) of what is searched for: words as an ID class of that name, in the run's templates."""
    from negrefine_core import pipeline

    if words:
        return features.encoder(run).encode_labels([words], pipeline.noun_templates(run))
    picture = Address.parse(like)
    scored = features.image_features(run, picture.image_set)
    if picture.path in scored.paths:
        return scored.features[[scored.paths.index(picture.path)]]
    return features.picture_feature(run, locate(run, picture.image_set, picture.path))


def _similarities(run: Run, image_sets: Sequence[str], words: str, like: str) -> pd.Series:
    import torch

    from negrefine_core.scoring import similarity

    sets = [features.image_features(run, name) for name in image_sets]
    addresses = [address for each in sets for address in each.addresses]
    pictures = torch.cat([each.features for each in sets])  # (B, D)
    found = similarity(pictures, feature(run, words, like))[:, 0]  # (B,)
    return pd.Series(found.numpy(), index=addresses)
