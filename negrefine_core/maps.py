"""Maps, as pure functions: places from features, which of many are drawn, what lies inside an outline or around one.

Shapes: B images or labels, D dims. scikit-learn is imported when a map is made, as it takes seconds.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from .progress import Progress

Projection = Literal["pca", "tsne"]
MOST: Mapping[Projection, int] = {"pca": 100_000, "tsne": 10_000}  # points of a map; of more a sample is drawn
COMPONENTS = 50  # principal ones, that t-SNE starts from
STAGES, ROUNDS = 4, 250  # of t-SNE: rounds of gradient descent in each stage, after which it tells how far it is
EXAGGERATION = 12.0  # of t-SNE's first stage, in which groups form


def make_ready() -> None:
    """Import what the first map is made with: it takes a second or two, in which a person looks at something else."""
    importlib.import_module("sklearn.decomposition")


def projected(how: Projection, features: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """(B, 2) places of features (B, D) by a projection."""
    return pca(features) if how == "pca" else tsne(features, progress)


def pca(features: np.ndarray) -> np.ndarray:
    """(B, 2) places by the two directions in which features (B, D) differ most: the same features, the same places."""
    places = np.zeros((len(features), 2), dtype=np.float32)
    if len(features) < 2:
        return places
    from sklearn.decomposition import PCA

    directions = min(2, *features.shape)
    places[:, :directions] = PCA(directions, svd_solver="covariance_eigh").fit_transform(features)
    return places


def tsne(features: np.ndarray, progress: Progress | None = None, seed: int = 0) -> np.ndarray:
    """(B, 2) places at which each of the features (B, D) stands beside those it is most like: the same features, the
    same places. Slow: a minute for ten thousand."""
    places = pca(features)
    count = len(features)
    if count < 4:
        return places
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    components = min(COMPONENTS, *features.shape)
    reduced = PCA(components, svd_solver="covariance_eigh").fit_transform(features)  # (B, components)
    places = (places / max(float(places[:, 0].std()), 1e-9) * 1e-4).astype(np.float32)  # as scikit-learn begins
    for stage in range(STAGES):
        places = TSNE(
            init=places,
            perplexity=min(30.0, (count - 1) / 3),
            early_exaggeration=EXAGGERATION if stage == 0 else 1.0,
            learning_rate=max(count / EXAGGERATION / 4, 50.0),
            max_iter=ROUNDS,
            random_state=seed,
        ).fit_transform(reduced)
        if progress:
            progress((stage + 1) * ROUNDS, STAGES * ROUNDS)
    return places


def around(features: np.ndarray, place: int, count: int) -> np.ndarray:
    """(n,) the places of the `count` others that are most similar to the one at a place, the nearest first; fewer where
    the rest has nothing in common with it."""
    similarity = features @ features[place]  # (B,)
    similarity[place] = 0
    nearest: np.ndarray = np.argsort(-similarity, kind="stable")[: min(count, int((similarity > 0).sum()))]
    return nearest


def sample(strata: Sequence[str] | np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """(n,) the places, in order, of at most `most` of these, of each stratum in proportion; all where they are no more.

    Each stratum keeps one at least, as far as there is room.
    """
    named, codes = np.unique(np.asarray(strata), return_inverse=True)  # (S,), (B,)
    if len(codes) <= most:
        return np.arange(len(codes))
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(codes))  # (B,)
    by_stratum = shuffled[np.argsort(codes[shuffled], kind="stable")]  # (B,) stratum by stratum, shuffled in each
    sizes = np.bincount(codes, minlength=len(named))  # (S,)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # (B,) the place inside the stratum
    share = rank / np.repeat(sizes, sizes)  # (B,) from 0: the first of every stratum come first
    return np.sort(by_stratum[np.argsort(share, kind="stable")[:most]])


def spread(places: np.ndarray, across: int) -> tuple[np.ndarray, float]:
    """((n,) the places, in order, of those of these (B, 2) that are nearest to the middles of a grid's cells, one a
    cell; the width of a cell). The grid is `across` cells wide or high, whichever is more."""
    if not len(places):
        return np.empty(0, dtype=np.int64), 0.0
    lowest, highest = places.min(axis=0), places.max(axis=0)  # (2,) each
    width = max(float((highest - lowest).max()) / across, 1e-9)
    where = (places - lowest) / width  # (B, 2) in cells
    cells = np.minimum(where.astype(np.int64), across - 1)  # (B, 2)
    nearest = np.argsort(np.abs(where - cells - 0.5).max(axis=1), kind="stable")  # (B,)
    _, first = np.unique(cells[nearest], axis=0, return_index=True)
    return np.sort(nearest[first]), width


def inside(places: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(B,) which places (B, 2) lie inside a closed outline (n, 2), which may cross itself (even-odd rule)."""
    x, y = places.T  # (B,) each
    is_inside = np.zeros(len(places), dtype=bool)  # (B,)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 != y1:
            is_crossed = (y0 > y) != (y1 > y)  # (B,) whether the edge passes their height
            is_inside ^= is_crossed & (x < x0 + (x1 - x0) * (y - y0) / (y1 - y0))
    return is_inside
