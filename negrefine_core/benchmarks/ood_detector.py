"""The detector in pytorch-ood's convention: `predict(x)` gives outlier scores, higher = more OOD."""

from typing import Any, Self

import torch
from torch import Tensor

from ..cache import CachedEncoder
from ..detector import NegRefineDetector
from ..encoder import OpenClipEncoder


class OODDetector:
    """A `NegRefineDetector` where pytorch-ood expects one of its own detectors.

    It needs no fitting. `transform` is what its images must go through, for a torchvision-style dataset.

    Args:
        detector: over an `OpenClipEncoder`, cached or not.
        score: which of its scores, `negrefine` or a column of `NegRefineDetector.score_features` such as `mcm`.
    """

    requires_fit = False

    def __init__(self, detector: NegRefineDetector, score: str = "negrefine") -> None:
        encoder = detector.encoder.encoder if isinstance(detector.encoder, CachedEncoder) else detector.encoder
        if not isinstance(encoder, OpenClipEncoder):
            raise TypeError("predicting from pixels needs an OpenClipEncoder")
        self.detector = detector
        self.score = score
        self.transform = encoder.preprocess
        self._encode = encoder.encode_pixels

    def fit(self, data_loader: Any = None) -> Self:
        """Nothing to fit: the method is zero-shot."""
        return self

    def predict(self, x: Tensor) -> Tensor:
        """(B,) outlier scores of images (B, H, W, 3) that `transform` made; higher = more OOD."""
        return self.predict_features(self._encode(x))

    def predict_features(self, z: Tensor) -> Tensor:
        """(B,) outlier scores of L2-normalised image features (B, D); higher = more OOD."""
        return -torch.tensor(self.detector.score_features(z)[self.score].to_numpy())

    __call__ = predict
