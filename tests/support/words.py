"""A model of no weights, for what is worked out from features."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class Words:
    """An encoder of made-up features, the same for the same text."""

    name, dim, fingerprint, precision = "words", 64, "words", "float32"

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        drawn = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(self.dim) for text in texts]
        features = torch.from_numpy(np.array(drawn, dtype=np.float32).reshape(-1, self.dim))
        return torch.nn.functional.normalize(features, dim=1)

    def encode_labels(self, labels: Sequence[str], templates: Sequence[str], progress: object = None) -> Tensor:
        return self.encode_texts(labels)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        return torch.empty(len(images), self.dim)
