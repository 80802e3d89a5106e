"""Features embedded once and kept on disk: safe to delete, safe to interrupt, never wrong."""

import contextlib
import errno
import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor

from . import paths
from .background import Behind
from .databases import add_column
from .encoder import LABEL_CHUNK, Encoder
from .errors import NegRefineError
from .labels import BARE
from .progress import Progress

T = TypeVar("T")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the user's share of it, or the largest file allowed
NO_DIGEST = 0  # of a row that was kept before rows had digests
DIGEST_BLOCK = 1024  # rows read and checked together: they stay in the processor's cache


class FeatureStore:
    """An append-only float32 matrix on disk (`features.f32`), found by key through SQLite (`index.sqlite`).

    The index keeps a digest of each row and its key, which is looked at whenever the row is read: a damaged row is
    forgotten and counts as missing. Rows are written before the index commits, so that a process killed at any moment
    leaves no wrong row; several processes may share one store. A damaged index is made anew.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.dim = dim
        self._folder = folder
        self._matrix = folder / "features.f32"
        self._index = folder / "index.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        self._transact(self._prepare)

    def __len__(self) -> int:
        return self._transact(lambda index: int(index.execute("SELECT COUNT(*) FROM rows").fetchone()[0]))

    def get(self, keys: Sequence[str]) -> tuple[Tensor, np.ndarray]:
        """(n, D) features of the keys, and the places of those that are missing; their features are NaN."""
        rows, digests = self._find(keys)
        features, is_good, actual = self._checked(keys, rows, digests)
        damaged = np.flatnonzero((rows >= 0) & ~is_good)
        unchecked = np.flatnonzero(is_good & (digests == NO_DIGEST))
        if len(damaged) or len(unchecked):
            forget = _columns(keys, rows, digests, places=damaged)
            add = _columns(actual, keys, rows, places=unchecked)
            with contextlib.suppress(NegRefineError):  # a full disk: it is found again at the next reading
                self._transact(lambda index: self._tidy(index, forget, add))
        missing = np.flatnonzero(~is_good)
        features[missing] = np.nan
        return torch.from_numpy(features), missing

    def missing(self, keys: Sequence[str]) -> np.ndarray:
        """The places of the keys that the index lacks; no row is read."""
        rows, _ = self._find(keys)
        return np.flatnonzero(rows < 0)

    def append(self, keys: Sequence[str], features: Tensor) -> None:
        """Keep features (n, D) under their keys; a key that is there already keeps its first features.

        Features that are not usable are never kept.
        """
        usable = is_usable(features)
        keys = [keys[i] for i in torch.nonzero(usable).flatten().tolist()]
        data = np.ascontiguousarray(features[usable].numpy(), dtype=np.float32)
        digests = _digests(keys, data).tolist()

        def keep(index: sqlite3.Connection) -> None:
            index.execute("BEGIN IMMEDIATE")  # other writers wait here
            start = self._first_free_row(index)
            with os.fdopen(os.open(self._matrix, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
                file.seek(start * self.dim * 4)
                file.write(data.tobytes())
                file.flush()
                os.fsync(file.fileno())
            rows = range(start, start + len(data))
            index.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?)", zip(keys, rows, digests, strict=True))

        self._transact(keep)

    def append_all(self, parts: Sequence[tuple[Sequence[str], Tensor]]) -> None:
        """The same of several (keys, features), written together."""
        self.append([key for keys, _ in parts for key in keys], torch.cat([features for _, features in parts]))

    # --- rows and their digests ---

    def _find(self, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n,) row of each key, -1 where it is missing, and (n,) digest, NO_DIGEST for a row of an older cache."""
        found = self._transact(
            lambda index: index.execute(
                "SELECT CAST(COALESCE(rows.row, -1) AS INTEGER), CAST(COALESCE(rows.digest, 0) AS INTEGER) "
                "FROM json_each(?) AS wanted LEFT JOIN rows ON rows.key = wanted.value ORDER BY wanted.id",
                (json.dumps(list(keys)),),
            ).fetchall()
        )
        values = np.fromiter(itertools.chain.from_iterable(found), dtype=np.int64, count=2 * len(keys))
        rows, digests = values.reshape(len(keys), 2).T
        return rows, digests

    def _checked(
        self, keys: Sequence[str], rows: np.ndarray, digests: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n, D) what the matrix holds in these rows, (n,) whether it is what was kept under the keys, (n,) its digest.

        A row of an older cache, which has no digest, is good when its length is that of a feature.
        """
        features = np.empty((len(rows), self.dim), dtype=np.float32)
        actual = np.zeros(len(rows), dtype=np.int64)
        matrix = self._mapped()
        is_there = (rows >= 0) & (rows < len(matrix))
        if not is_there.any():
            return features, is_there, actual
        for start in range(0, len(rows), DIGEST_BLOCK):
            block = slice(start, start + DIGEST_BLOCK)
            np.take(matrix, rows[block], axis=0, out=features[block], mode="clip")
            actual[block] = _digests(keys[block], features[block])
        is_good = is_there & (digests == actual)
        unchecked = np.flatnonzero(is_there & (digests == NO_DIGEST))
        lengths = np.linalg.norm(features[unchecked], axis=1)
        is_good[unchecked] = np.abs(lengths - 1) < 0.01
        return features, is_good, actual

    def _mapped(self) -> np.ndarray:
        """(rows, D) the matrix on disk without a row that was cut by a kill, or is being written."""
        try:
            whole = self._whole_rows()
            if not whole:
                return np.empty((0, self.dim), dtype=np.float32)
            return np.memmap(self._matrix, dtype=np.float32, mode="r", shape=(whole, self.dim))
        except OSError as error:
            raise self._unusable(error) from error

    def _whole_rows(self) -> int:
        return self._matrix.stat().st_size // (self.dim * 4) if self._matrix.exists() else 0

    # --- the index ---

    def _prepare(self, index: sqlite3.Connection) -> None:
        index.execute(
            "CREATE TABLE IF NOT EXISTS rows "
            "(key TEXT PRIMARY KEY, row INTEGER NOT NULL, digest INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"
        )
        add_column(index, "rows", "digest", "INTEGER NOT NULL DEFAULT 0")
        self._first_free_row(index)

    def _first_free_row(self, index: sqlite3.Connection) -> int:
        """Where the next row goes. Rows that the matrix no longer has, because it was lost or cut, are forgotten."""
        highest = "SELECT COALESCE(MAX(CAST(row AS INTEGER)) + 1, 0) FROM rows"
        (free,) = index.execute(highest).fetchone()
        whole = self._whole_rows()
        if free > whole:
            index.execute("DELETE FROM rows WHERE CAST(row AS INTEGER) >= ?", (whole,))
            (free,) = index.execute(highest).fetchone()
        return max(int(free), 0)

    def _tidy(
        self, index: sqlite3.Connection, forget: Iterable[Sequence[object]], add: Iterable[Sequence[object]]
    ) -> None:
        """Forget rows (key, row, digest) and note digests (digest, key, row), unless the key has another row by now."""
        index.executemany(
            "DELETE FROM rows WHERE key = ? AND CAST(row AS INTEGER) = ? AND CAST(digest AS INTEGER) = ?", forget
        )
        index.executemany("UPDATE rows SET digest = ? WHERE key = ? AND row = ? AND digest = 0", add)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do one transaction on the index; where the index turns out to be damaged, once more on a new one."""
        try:
            try:
                return self._attempt(work)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise
            self._mend_index()
            return self._attempt(work)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with contextlib.closing(sqlite3.connect(self._index, timeout=60)) as index, index:  # one transaction
            return work(index)

    def _mend_index(self) -> None:
        """Delete an index that is damaged. Its rows stay and are written over; another process that still uses the old
        index can spoil no row unnoticed."""
        with FileLock(self._folder / "mend.lock"):
            if not self._is_sound():  # no other process was quicker
                self._index.with_name(self._index.name + "-journal").unlink(missing_ok=True)
                self._index.unlink(missing_ok=True)
            self._attempt(self._prepare)

    def _is_sound(self) -> bool:
        try:
            return self._attempt(lambda index: bool(index.execute("PRAGMA quick_check").fetchall() == [("ok",)]))
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                return False
            raise

    def _unusable(self, error: Exception) -> NegRefineError:
        """The one line on a cache that could not be read or written."""
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if getattr(error, "errno", None) in FULL or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return NegRefineError(
                f"cannot keep features in {self._folder} ({reason}); free some space on that disk and run again: "
                "what was kept before is still there"
            )
        return NegRefineError(
            f"the cache in {self._folder} cannot be used ({reason}); check its permissions, or delete that folder: "
            "its features are embedded anew"
        )


def is_usable(features: Tensor) -> Tensor:
    """(n,) whether features (n, D) can be compared with others: finite and not zero."""
    lengths: Tensor = torch.linalg.vector_norm(features, dim=1)  # (n,)
    return torch.isfinite(lengths) & (lengths > 0)


def _digests(keys: Sequence[str], features: np.ndarray) -> np.ndarray:
    """(n,) 64-bit digest of each key with its feature (n, D)."""
    if not len(keys):
        return np.empty(0, dtype=np.int64)
    letters = np.array(keys, dtype=np.str_).view(np.uint32).reshape(len(keys), -1)
    digests: np.ndarray = _multilinear(letters, 0) + _multilinear(features.view(np.uint32), 1)
    return digests.view(np.int64)


def _multilinear(rows: np.ndarray, seed: int) -> np.ndarray:
    """(n,) sum over each row's 32-bit words (n, W) times odd random 64-bit weights, modulo 2**64.

    A change of one word is found for certain, any other but for about one in 2**32 (Lemire and Kaser, Strongly
    universal string hashing is fast, 2014; the idea is Carter and Wegman's).
    """
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))  # zeros change no sum
    pairs = rows.view(np.uint64)  # (n, W / 2), two words at once: that is four times as fast
    both, upper = _weights(seed, pairs.shape[1])
    sums: np.ndarray = np.einsum("ij,j->i", pairs, both) + np.einsum("ij,j->i", pairs >> np.uint64(32), upper)
    return sums


@lru_cache
def _weights(seed: int, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """(W / 2,) weights of the words of a pair together and of its upper word."""
    weights: np.ndarray = np.asarray(np.random.PCG64(seed).random_raw(2 * pairs))  # numpy promises these for ever
    odd = weights | np.uint64(1)
    return odd[::2].copy(), odd[1::2].copy()


def _columns(*columns: Sequence[str] | np.ndarray, places: np.ndarray) -> list[tuple[object, ...]]:
    """The columns' values at these places, a tuple a place, as SQLite takes them."""
    return [tuple(c[i] if isinstance(c[i], str) else int(c[i]) for c in columns) for i in places.tolist()]


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether it is the database's content that is at fault: no database, a malformed one, or one of other tables."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
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
        features, missing = self._texts.get(keys)
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
                behind.do(([keys[i] for i in chunk], new))
                if progress:
                    progress(len(labels) - len(todo) + start + len(chunk), len(labels))
        if len(todo) < len(missing):
            features[missing] = features[[first[keys[i]] for i in missing]]
        return features

    def _encoded(self, labels: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(L, D) features by the model. Raises NegRefineError where it gives none."""
        features = self.encoder.encode_labels(labels, templates)
        for i in torch.nonzero(~is_usable(features)).flatten().tolist():
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
    prefix = hashlib.blake2b("\n".join(templates).encode(), digest_size=8)
    keys = []
    for label in labels:
        digest = prefix.copy()
        digest.update(b"\0" + label.encode())
        keys.append(digest.hexdigest())
    return keys
