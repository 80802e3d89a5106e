"""Maps of images, as pure functions: places from features, which of many are drawn, and what lies inside an outline.

Shapes: B images, D dims. scikit-learn is imported when a map is made, as it takes seconds.
"""

from collections.abc import Sequence

import numpy as np


def pca(features: np.ndarray) -> np.ndarray:
    """(B, 2) places by the two directions in which features (B, D) differ most: the same features, the same places."""
    places = np.zeros((len(features), 2), dtype=np.float32)
    if len(features) < 2:
        return places
    from sklearn.decomposition import PCA

    directions = min(2, *features.shape)
    places[:, :directions] = PCA(directions, svd_solver="covariance_eigh").fit_transform(features)
    return places


def sample(strata: Sequence[str] | np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """(n,) the places, in order, of at most `most` of these, of each stratum in proportion; all where they are no more.

    Each stratum keeps one at least, as far as there is room.
    """
    named, codes = np.unique(np.asarray(strata, dtype=str), return_inverse=True)  # (S,), (B,)
    if len(codes) <= most:
        return np.arange(len(codes))
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(codes))  # (B,)
    by_stratum = shuffled[np.argsort(codes[shuffled], kind="stable")]  # (B,) stratum by stratum, shuffled in each
    sizes = np.bincount(codes, minlength=len(named))  # (S,)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # (B,) the place inside the stratum
    share = rank / np.repeat(sizes, sizes)  # (B,) from 0: the first of every stratum come first
    return np.sort(by_stratum[np.argsort(share, kind="stable")[:most]])


def inside(places: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(B,) which places (B, 2) lie inside a closed outline (n, 2), which may cross itself (even-odd rule)."""
    x, y = places.T  # (B,) each
    is_inside = np.zeros(len(places), dtype=bool)  # (B,)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 != y1:
            is_crossed = (y0 > y) != (y1 > y)  # (B,) whether the edge passes their height
            is_inside ^= is_crossed & (x < x0 + (x1 - x0) * (y - y0) / (y1 - y0))
    return is_inside
