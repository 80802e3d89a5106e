"""The model's features of labels, embedded once and kept on disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .background import Behind
from .encoder import LABEL_CHUNK, Encoder
from .errors import NegRefineError
from .feature_store import FeatureStore, folder_of, is_usable
from .labels import BARE
from .progress import Progress


class CachedEncoder:
    """An encoder whose label features are kept on disk, by (fingerprint, template set, label).

    What is missing is encoded and kept chunk by chunk, so that a cancelled run goes on where it stopped.
    """

    def __init__(self, encoder: Encoder, folder: Path | None = None) -> None:
        self.encoder = encoder
        self.name = encoder.name
        self.dim = encoder.dim
        self.fingerprint = encoder.fingerprint
        self.device = str(getattr(encoder, "device", "cpu"))
        self.precision = str(getattr(encoder, "precision", "fp32"))
        self.folder = folder / encoder.fingerprint if folder else folder_of(encoder.fingerprint)
        self._texts = FeatureStore(self.folder / "texts", self.dim)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return self.encode_labels(texts, BARE)

    def encode_labels(
        self, labels: Sequence[str], templates: Sequence[str], progress: Progress | None = None
    ) -> Tensor:
        keys = _keys(labels, templates)
        found, missing = self._texts.get(keys)
        features = torch.from_numpy(found)  # (L, D)
        first = {keys[i]: i for i in reversed(missing.tolist())}  # a label that is asked for twice is encoded once
        todo = sorted(first.values())
        if progress:
            progress(len(labels) - len(todo), len(labels))
        together = int(getattr(self.encoder, "label_chunk", LABEL_CHUNK))
        with Behind(self._texts.append_all) as behind:
            for start in range(0, len(todo), together):
                chunk = todo[start : start + together]
                new = self._encoded([labels[i] for i in chunk], templates)  # (l, D)
                features[chunk] = new
                behind.do(([keys[i] for i in chunk], new.numpy()))
                if progress:
                    progress(len(labels) - len(todo) + start + len(chunk), len(labels))
        if len(todo) < len(missing):
            features[missing] = features[[first[keys[i]] for i in missing]]
        return features

    def _encoded(self, labels: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(L, D) features by the model. Raises NegRefineError where it gives none."""
        features = self.encoder.encode_labels(labels, templates)
        for i in np.flatnonzero(~is_usable(features.numpy())).tolist():
            raise NegRefineError(
                f"the model {self.name} gives no usable feature for {labels[i]!r} (zero or not a number); "
                "check its weights, or try another device"
            )
        return features

    def missing(self, labels: Sequence[str], templates: Sequence[str]) -> list[str]:
        """The labels that have no features in the cache yet."""
        return [labels[i] for i in self._texts.missing(_keys(labels, templates)).tolist()]

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        return self.encoder.encode_images(images)


def _keys(labels: Sequence[str], templates: Sequence[str]) -> list[str]:
    prefix = hashlib.blake2b("\n".join(templates).encode(), digest_size=16)
    keys = []
    for label in labels:
        digest = prefix.copy()
        digest.update(b"\0" + label.encode())
        keys.append(digest.hexdigest())
    return keys
