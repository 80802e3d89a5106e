"""Features kept on disk: safe to delete, safe to interrupt, never wrong. Finding some needs no torch."""

import contextlib
import errno
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock

from . import paths
from .errors import NegRefineError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the user's share of it, or the largest file allowed
DIGEST_BLOCK = 1024  # rows read and checked together: they stay in the processor's cache
IN_MEMORY = 1 << 29  # bytes of features; more are in a mapped file
BLOCK = 1 << 20  # bytes of that file that are written at once, so that a full disk says so
KNOWN_CHUNK = 8192  # features that are looked up together
RECORD = np.dtype([("key", "<u8", 2), ("digest", "<i8")])  # a row's, in the index; zeros for a row that is nobody's
MAGIC = b"rows v1\0"  # an index begins with it, the rows' length, and random bytes that tell it from one of before
HEAD = len(MAGIC) + 4 + 12
LOCK_SECONDS = 60  # that one process may wait for another to write
_HASH = re.compile("[0-9a-f]{32}")


class FeatureStore:
    """An append-only float32 matrix on disk (`features.f32`) and, in the same order, whose its rows are
    (`features.index`): a key, given as 32 hexadecimal digits, and a digest of key and row.

    The digest is looked at whenever a row is read: a damaged row is forgotten and counts as missing. So a process that
    is killed at any moment, and a disk that lost its last writes, leave no wrong row. Several processes may share one
    store: they write in turn, and rows before their records.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.dim = dim
        self._folder = folder
        self._matrix = folder / "features.f32"
        self._index = folder / "features.index"
        self._begin = MAGIC + dim.to_bytes(4, "little")
        self._known = _Known()
        self._guard = threading.RLock()  # of what is known
        with self._usable():
            folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def kept(cls, folder: Path) -> "FeatureStore | None":
        """The one in a folder, if anything is kept there: its features are found without the model that they are of."""
        index = folder / "features.index"
        try:
            with index.open("rb") as file:
                head = file.read(HEAD)
            rows, size = (_size(index) - HEAD) // RECORD.itemsize, _size(folder / "features.f32")
        except OSError:
            return None
        dim = int.from_bytes(head[len(MAGIC) :][:4], "little")
        is_whole = head.startswith(MAGIC) and rows > 0 and 0 < 4 * dim * rows <= size  # its length may be damaged, too
        return cls(folder, dim) if is_whole else None

    def __len__(self) -> int:
        with self._usable(), self._guard:
            self._learn()
            return sum(len(run.keys) for run in self._known.runs)

    def get(self, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n, D) features of the keys, and the places of those that are missing; their features are NaN."""
        words = _words(keys)
        with self._usable():
            rows, digests = self._find(words)
            features, is_good = self._checked(words, rows, digests)
        damaged = np.flatnonzero((rows >= 0) & ~is_good)
        if len(damaged):
            with contextlib.suppress(NegRefineError):  # a full disk: it is found again at the next reading
                self._forget(words[damaged], rows[damaged])
        missing = np.flatnonzero(~is_good)
        features[missing] = np.nan
        return features, missing

    def missing(self, keys: Sequence[str]) -> np.ndarray:
        """The places of the keys that the index lacks; no row is read."""
        with self._usable():
            rows, _ = self._find(_words(keys))
        return np.flatnonzero(rows < 0)

    def append(self, keys: Sequence[str], features: np.ndarray) -> None:
        """Keep features (n, D) under their keys; a key that is there already keeps its first features.

        Features that are not usable are never kept.
        """
        words = _words(keys)
        with self._writing():
            with self._guard:
                rows, _ = self._find(words)
                start, is_new = self._known.rows, not self._known.head
            is_wanted = is_usable(features) & (rows < 0)
            _, first = np.unique(words[is_wanted], axis=0, return_index=True)
            wanted = np.flatnonzero(is_wanted)[np.sort(first)]
            data = np.ascontiguousarray(features[wanted], dtype=np.float32)
            records = np.empty(len(wanted), dtype=RECORD)
            records["key"] = words[wanted]
            records["digest"] = _digests(words[wanted], data)
            with _opened_to_write(self._matrix) as file:  # and never cut: another process may have it mapped
                file.seek(start * self.dim * 4)
                file.write(data.data)
            with _opened_to_write(self._index) as file:
                file.truncate(_place(start))
                if is_new:
                    file.write(self._begin + os.urandom(HEAD - len(self._begin)))
                file.seek(_place(start))
                file.write(records.data)

    def append_all(self, parts: Sequence[tuple[Sequence[str], np.ndarray]]) -> None:
        """The same of several (keys, features), written together."""
        self.append([key for keys, _ in parts for key in keys], np.concatenate([features for _, features in parts]))

    def _checked(self, words: np.ndarray, rows: np.ndarray, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, D) what the matrix holds in these rows, (n,) whether it is what was kept under the keys."""
        features = np.empty((len(rows), self.dim), dtype=np.float32)
        matrix = self._mapped()
        is_good = (rows >= 0) & (rows < len(matrix))
        if is_good.any():
            for start in range(0, len(rows), DIGEST_BLOCK):
                block = slice(start, start + DIGEST_BLOCK)
                np.take(matrix, rows[block], axis=0, out=features[block], mode="clip")
                is_good[block] &= _digests(words[block], features[block]) == digests[block]
        return features, is_good

    def _mapped(self) -> np.ndarray:
        """(rows, D) the matrix on disk without a row that was cut by a kill, or is being written."""
        whole = _size(self._matrix) // (self.dim * 4)
        if not whole:
            return np.empty((0, self.dim), dtype=np.float32)
        return np.memmap(self._matrix, dtype=np.float32, mode="r", shape=(whole, self.dim))

    # --- the index ---

    def _find(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) row of each key (n, 2), -1 where it is missing, and (n,) digest."""
        with self._guard:
            self._learn()
            return self._known.find(words[:, 0])

    def _learn(self) -> None:
        """Read what was added to the index, by this process or another; all of it where the file is another."""
        if not self._index.exists():
            self._known = _Known()
            return
        with self._index.open("rb") as file:
            head = file.read(HEAD)
            rows = min(_size(self._matrix) // (self.dim * 4), (_size(self._index) - HEAD) // RECORD.itemsize)
            if head != self._known.head or rows < self._known.rows:
                self._known = _Known(head if head.startswith(self._begin) and len(head) == HEAD else b"")
            if self._known.head and rows > self._known.rows:
                file.seek(_place(self._known.rows))
                added = file.read((rows - self._known.rows) * RECORD.itemsize)
                self._known.add(np.frombuffer(added, dtype=RECORD, count=len(added) // RECORD.itemsize))

    def _forget(self, words: np.ndarray, rows: np.ndarray) -> None:
        """Make rows nobody's, unless another process has put another key's there by now."""
        with self._writing(), self._index.open("r+b") as file:
            for key, row in zip(words.astype("<u8"), rows.tolist(), strict=True):
                file.seek(_place(row))
                if file.read(key.nbytes) == key.tobytes():
                    file.seek(_place(row))
                    file.write(bytes(RECORD.itemsize))
        with self._guard:
            self._known = _Known()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """No other process or thread writes meanwhile; both may read."""
        with self._usable(), FileLock(self._folder / "write.lock", timeout=LOCK_SECONDS):
            yield

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        """Says in one line why a cache could not be read or written."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in FULL:
                raise NegRefineError(
                    f"cannot keep features in {self._folder} ({reason}); free some space on that disk and run again: "
                    "what was kept before is still there"
                ) from error
            raise NegRefineError(
                f"the cache in {self._folder} cannot be used ({reason}); check its permissions, or delete that folder: "
                "its features are embedded anew"
            ) from error


@dataclass(frozen=True)
class _Run:
    """Records of the index, sorted by the first half of their keys (n,)."""

    keys: np.ndarray
    rows: np.ndarray
    digests: np.ndarray

    @classmethod
    def sorted(cls, keys: np.ndarray, rows: np.ndarray, digests: np.ndarray) -> "_Run":
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], rows[order], digests[order])

    def joined(self, later: "_Run") -> "_Run":
        pairs = ((self.keys, later.keys), (self.rows, later.rows), (self.digests, later.digests))
        return _Run.sorted(*map(np.concatenate, pairs))


class _Known:
    """What is known of an index, to find its rows: a few sorted runs, the later the shorter. A key's last row counts.

    Half a key tells it from all others but for one in 2**64, and there the digest does.
    """

    def __init__(self, head: bytes = b"") -> None:
        self.head = head  # of the index; empty where there is none
        self.rows = 0
        self.runs: list[_Run] = []

    def add(self, records: np.ndarray) -> None:
        """Records (n,) of the next rows."""
        rows = np.arange(self.rows, self.rows + len(records))
        self.rows += len(records)
        taken = records["key"].any(axis=1)
        run = _Run.sorted(records["key"][taken, 0], rows[taken], records["digest"][taken])
        while self.runs and len(self.runs[-1].keys) < 2 * len(run.keys):
            run = self.runs.pop().joined(run)
        self.runs.append(run)

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) row of each key (n,), -1 where it is missing, and (n,) digest."""
        rows, digests = np.full(len(keys), -1), np.zeros(len(keys), dtype=np.int64)
        for run in self.runs:
            place = np.searchsorted(run.keys, keys, side="right") - 1
            there = np.flatnonzero((place >= 0) & (run.keys[place] == keys) if len(run.keys) else [])
            rows[there], digests[there] = run.rows[place[there]], run.digests[place[there]]
        return rows, digests


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _place(row: int) -> int:
    """The byte of an index where a row's record begins."""
    return HEAD + row * RECORD.itemsize


def _opened_to_write(path: Path) -> BinaryIO:
    """A file as it is, or a new one."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")


def is_usable(features: np.ndarray) -> np.ndarray:
    """(n,) whether features (n, D) can be compared with others: finite and not zero."""
    lengths = np.linalg.norm(features, axis=1)  # (n,)
    usable: np.ndarray = np.isfinite(lengths) & (lengths > 0)
    return usable


def _words(keys: Sequence[str]) -> np.ndarray:
    """(n, 2) keys as numbers."""
    return np.frombuffer(bytes.fromhex("".join(keys)), dtype="<u8").reshape(len(keys), 2)


def _digests(words: np.ndarray, features: np.ndarray) -> np.ndarray:
    """(n,) 64-bit digest of each key (n, 2) with its feature (n, D)."""
    if not len(words):
        return np.empty(0, dtype=np.int64)
    digests: np.ndarray = _multilinear(words.view(np.uint32), 0) + _multilinear(features.view(np.uint32), 1)
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


def folder_of(fingerprint: str) -> Path:
    """Where the features of a model are kept: those of `texts`, and those of `images` by what their files held."""
    return paths.CACHE / "features" / fingerprint


def known_features(fingerprint: str, hashes: Sequence[str]) -> np.ndarray | None:
    """(n, D) features of pictures by a model and by what their files held; None unless the cache has all. No picture is
    read, nor the model loaded."""
    if not all(isinstance(each, str) and _HASH.fullmatch(each) for each in (fingerprint, *hashes)):
        return None
    store = FeatureStore.kept(folder_of(fingerprint) / "images")
    if not store or len(store.missing(hashes)):
        return None
    features = room_for(len(hashes), store.dim)
    for start in range(0, len(hashes), KNOWN_CHUNK):
        found, missing = store.get(hashes[start : start + KNOWN_CHUNK])
        if len(missing):
            return None
        features[start : start + len(found)] = found
    return features


def room_for(count: int, dim: int) -> np.ndarray:
    """(count, D) for features to be put into. Many are in a file without a name that is mapped, not in memory."""
    size = 4 * count * dim
    if size <= IN_MEMORY:
        return np.empty((count, dim), dtype=np.float32)
    with paths.writing(paths.CACHE):
        paths.CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=paths.CACHE) as file:
            for start in range(0, size, BLOCK):  # a full disk says so here
                file.write(bytes(min(BLOCK, size - start)))
            file.flush()
            return np.memmap(file, dtype=np.float32, mode="r+", shape=(count, dim))
