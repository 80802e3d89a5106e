"""Features embedded once and kept on disk: safe to delete, safe to interrupt, never wrong."""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import paths
from .encoder import LABEL_CHUNK, Encoder, Progress
from .errors import NegRefineError
from .labels import BARE


class FeatureStore:
    """An append-only float32 matrix on disk (`features.f32`), found by key through SQLite (`index.sqlite`).

    Rows are written before the index commits, so that a process killed at any moment leaves no wrong row; several
    processes may share one store.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.dim = dim
        self._matrix, self._index = folder / "features.f32", folder / "index.sqlite"
        with self._connect() as index:
            index.execute("CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID")
            (rows,) = index.execute("SELECT COALESCE(MAX(row) + 1, 0) FROM rows").fetchone()
            size = self._matrix.stat().st_size if self._matrix.exists() else 0
            if size < rows * dim * 4:  # the matrix was lost or cut: forget what is no longer there
                index.execute("DELETE FROM rows WHERE row >= ?", (size // (dim * 4),))

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self._index, timeout=60)) as index, index:  # one transaction
                yield index
        except sqlite3.Error as error:
            raise NegRefineError(
                f"the cache in {self._index.parent} cannot be used ({error}). If it is damaged, delete that folder: "
                "its features are embedded anew"
            ) from error

    def __len__(self) -> int:
        with self._connect() as index:
            return int(index.execute("SELECT COUNT(*) FROM rows").fetchone()[0])

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """(n,) row of each key, -1 where it is missing."""
        with self._connect() as index:
            found = index.execute(
                "SELECT COALESCE(rows.row, -1) FROM json_each(?) AS wanted LEFT JOIN rows ON rows.key = wanted.value "
                "ORDER BY wanted.id",
                (json.dumps(list(keys)),),
            ).fetchall()
        return np.array(found, dtype=np.int64).reshape(len(keys))

    def read(self, rows: np.ndarray) -> Tensor:
        """(n, D) features of rows that exist."""
        if len(rows) == 0:
            return torch.empty(0, self.dim)
        whole = self._matrix.stat().st_size // (self.dim * 4)  # a row cut by a kill, or being written, is left out
        matrix = np.memmap(self._matrix, dtype=np.float32, mode="r", shape=(whole, self.dim))
        return torch.from_numpy(np.ascontiguousarray(matrix[rows]))

    def append(self, keys: Sequence[str], features: Tensor) -> None:
        """Keep features (n, D) under their keys; a key that is there already keeps its first features."""
        data = np.ascontiguousarray(features.numpy(), dtype=np.float32)
        with self._connect() as index:
            index.execute("BEGIN IMMEDIATE")  # other writers wait here
            (start,) = index.execute("SELECT COALESCE(MAX(row) + 1, 0) FROM rows").fetchone()
            with open(self._matrix, "r+b" if self._matrix.exists() else "w+b") as file:
                file.seek(start * self.dim * 4)
                file.write(data.tobytes())
                file.flush()
                os.fsync(file.fileno())
            index.executemany(
                "INSERT OR IGNORE INTO rows VALUES (?, ?)", zip(keys, range(start, start + len(data)), strict=True)
            )


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
        self.folder = (folder or paths.CACHE / "features") / encoder.fingerprint
        self._texts = FeatureStore(self.folder / "texts", self.dim)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return self.encode_labels(texts, BARE)

    def encode_labels(
        self, labels: Sequence[str], templates: Sequence[str], progress: Progress | None = None
    ) -> Tensor:
        keys = _keys(labels, templates)
        rows = self._texts.find(keys)
        missing = np.flatnonzero(rows < 0)
        for start in range(0, len(missing), LABEL_CHUNK):
            chunk = missing[start : start + LABEL_CHUNK]
            features = self.encoder.encode_labels([labels[i] for i in chunk], templates)
            self._texts.append([keys[i] for i in chunk], features)
            if progress:
                progress(len(labels) - len(missing) + start + len(chunk), len(labels))
        if progress:
            progress(len(labels), len(labels))
        return self._texts.read(self._texts.find(keys) if len(missing) else rows)

    def missing(self, labels: Sequence[str], templates: Sequence[str]) -> list[str]:
        """The labels that have no features in the cache yet."""
        return [labels[i] for i in np.flatnonzero(self._texts.find(_keys(labels, templates)) < 0).tolist()]

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        return self.encoder.encode_images(images)


def _keys(labels: Sequence[str], templates: Sequence[str]) -> list[str]:
    prefix = hashlib.blake2b("\n".join(templates).encode(), digest_size=8)
    return [_key(prefix, label) for label in labels]


def _key(prefix: "hashlib.blake2b", label: str) -> str:
    digest = prefix.copy()
    digest.update(b"\0" + label.encode())
    return digest.hexdigest()
