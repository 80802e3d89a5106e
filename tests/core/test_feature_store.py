"""Features on disk: the same numbers, whatever is killed, damaged, deleted or running beside it."""

import hashlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from negrefine_core import feature_store
from negrefine_core.errors import NegRefineError
from negrefine_core.feature_store import FeatureStore
from tests.support.project import ROOT


def rows(n: int, seed: int = 0, dim: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def keyed(*names: object) -> list[str]:
    """Keys as the caches make them, 32 hexadecimal digits."""
    return [hashlib.blake2b(str(name).encode(), digest_size=16).hexdigest() for name in names]


def kept(store: FeatureStore, keys: list[str]) -> np.ndarray:
    """The features of keys that must all be there."""
    features, missing = store.get(keys)
    assert missing.tolist() == []
    return features


def assert_right_or_missing(store: FeatureStore, keys: list[str], expected: np.ndarray) -> None:
    """What a damaged store gives is what was kept; what is missing is kept anew."""
    features, missing = store.get(keys)
    good = [i for i in range(len(keys)) if i not in missing]
    assert_array_equal(features[good], expected[good])
    store.append(keys, expected)
    assert_array_equal(kept(store, keys), expected)


@pytest.mark.parametrize("tail", [1, 7, 16, 37])
def test_rows_written_but_never_committed_are_not_seen_and_are_overwritten(tmp_path: Path, tail: int) -> None:
    """A process killed between writing the matrix and committing the index leaves such a tail, of any length."""
    store = FeatureStore(tmp_path, 4)
    store.append(keyed("a", "b"), rows(2))
    with (tmp_path / "features.f32").open("ab") as file:
        file.write(b"\x7f" * tail)
    for opened in (store, FeatureStore(tmp_path, 4)):
        assert_array_equal(kept(opened, keyed("b", "a")), rows(2)[::-1])
        assert opened.missing(keyed("c")).tolist() == [0]
    store.append(keyed("c"), rows(1, seed=5))
    again = FeatureStore(tmp_path, 4)
    assert_array_equal(kept(again, keyed("a", "b", "c")), np.concatenate([rows(2), rows(1, seed=5)]))


@pytest.mark.parametrize("size", [0, 5, 16, 31, 47])
def test_a_matrix_that_was_cut_forgets_only_what_it_lost(tmp_path: Path, size: int) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(keyed("a", "b", "c"), rows(3))
    with (tmp_path / "features.f32").open("r+b") as file:
        file.truncate(size)
    again = FeatureStore(tmp_path, 4)
    found, missing = again.get(keyed("a", "b", "c"))
    assert missing.tolist() == list(range(size // 16, 3))
    assert_array_equal(found[: size // 16], rows(3)[: size // 16])
    assert np.isnan(found[size // 16 :]).all()
    again.append(keyed("a", "b", "c"), rows(3))
    assert_array_equal(kept(again, keyed("a", "b", "c")), rows(3))


@pytest.mark.parametrize("name", ["features.f32", "features.index"])
def test_a_deleted_cache_file_costs_time_and_nothing_else(tmp_path: Path, name: str) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(keyed("a", "b"), rows(2))
    (tmp_path / name).unlink()
    again = FeatureStore(tmp_path, 4)
    assert again.missing(keyed("a", "b")).tolist() == [0, 1]
    again.append(keyed("b"), rows(1, seed=2))
    assert_array_equal(kept(again, keyed("b")), rows(1, seed=2))


def test_a_key_that_is_there_keeps_its_first_features(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(keyed("a"), rows(1))
    store.append(keyed("b", "a", "c", "c"), rows(4, seed=9))
    expected = np.concatenate([rows(1), rows(4, seed=9)[[0, 2]]])
    assert_array_equal(kept(store, keyed("a", "b", "c")), expected)


def test_an_empty_store_finds_and_reads_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 4)
    assert store.missing([]).shape == (0,)
    assert store.get([])[0].shape == (0, 4)
    for _ in range(2):
        assert store.missing(keyed("a")).tolist() == store.get(keyed("a"))[1].tolist() == [0]
        store.append([], np.empty((0, 4), dtype=np.float32))


@pytest.mark.slow
def test_two_processes_that_write_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
from pathlib import Path
from negrefine_core.feature_store import FeatureStore
from tests.core.test_feature_store import keyed
store = FeatureStore(Path(sys.argv[1]), 4)
for i in range(int(sys.argv[2]), 60, 2):
    keys = keyed(*(f"{i}-{j}" for j in range(5)), f"shared-{i // 2}")
    values = np.array([[i, j, 0, 1] for j in range(5)] + [[i // 2, 0, 0, 9]], dtype=np.float32)
    store.append(keys, values)
    np.testing.assert_array_equal(store.get(keys)[0], values)
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)], cwd=ROOT) for n in (0, 1)]
    assert [writer.wait() for writer in writers] == [0, 0]
    store = FeatureStore(tmp_path, 4)
    for i in range(60):
        keys = keyed(*(f"{i}-{j}" for j in range(5)), f"shared-{i // 2}")
        expected = np.array([[i, j, 0, 1] for j in range(5)] + [[i // 2, 0, 0, 9]], dtype=np.float32)
        assert_array_equal(kept(store, keys), expected)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit flipped": lambda matrix: matrix[:21] + bytes([matrix[21] ^ 1]) + matrix[22:],
    "zeroed": lambda matrix: bytes(len(matrix)),
    "rows swapped": lambda matrix: matrix[16:32] + matrix[:16] + matrix[32:],
    "a row doubled": lambda matrix: matrix[:16] + matrix[:16] + matrix[32:],
    "signs turned": lambda matrix: (-np.frombuffer(matrix, np.float32)).tobytes(),
    "a byte put in": lambda matrix: matrix[:5] + b"x" + matrix[5:],
    "a row cut out": lambda matrix: matrix[16:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_row_counts_as_missing_and_is_kept_anew(tmp_path: Path, damage: str) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(keyed("a", "b", "c"), rows(3))
    matrix = tmp_path / "features.f32"
    matrix.write_bytes(DAMAGE[damage](matrix.read_bytes()))
    features, missing = store.get(keyed("a", "b", "c"))
    good = [i for i in range(3) if i not in missing]
    assert len(missing)
    assert_array_equal(features[good], rows(3)[good])
    assert np.isnan(features[missing]).all()
    assert store.missing(keyed("a", "b", "c")).tolist() == missing.tolist()
    store.append(keyed("a", "b", "c"), rows(3))
    assert_array_equal(kept(FeatureStore(tmp_path, 4), keyed("a", "b", "c")), rows(3))


@pytest.mark.parametrize("dim", [1, 3, 5, 64, 511])
def test_any_flipped_bit_of_a_row_of_any_size_is_found(tmp_path: Path, dim: int) -> None:
    store = FeatureStore(tmp_path, dim)
    store.append(keyed("a"), rows(1, dim=dim))
    matrix = tmp_path / "features.f32"
    whole = matrix.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 50)):
        store.append(keyed("a"), rows(1, dim=dim))
        matrix.write_bytes(whole[:place] + bytes([whole[place] ^ 128]) + whole[place + 1 :])
        assert store.get(keyed("a"))[1].tolist() == [0]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_what_is_no_feature_is_never_kept(tmp_path: Path, value: float) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(keyed("a", "b"), np.array([[value] * 4, [1.0, 0, 0, 0]], dtype=np.float32))
    assert store.missing(keyed("a", "b")).tolist() == [0]


INDEX_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda _: b"no database" * 100,
    "emptied": lambda _: b"",
    "cut": lambda index: index[: len(index) // 2],
    "pages overwritten": lambda index: index[:4096] + b"\xff" * (len(index) - 4096),
    "zeroed": lambda index: bytes(len(index)),
    "header flipped": lambda index: b"X" + index[1:],
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
@pytest.mark.parametrize("reopened", [True, False])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: str, reopened: bool) -> None:
    keys = keyed(*range(300))
    store = FeatureStore(tmp_path, 4)
    store.append(keys, rows(300))
    index = tmp_path / "features.index"
    index.write_bytes(INDEX_DAMAGE[damage](index.read_bytes()))
    store = FeatureStore(tmp_path, 4) if reopened else store
    assert_right_or_missing(store, keys, rows(300))


def test_flipped_bytes_of_the_index_give_no_wrong_feature(tmp_path: Path) -> None:
    keys = keyed(*range(60))
    FeatureStore(tmp_path, 4).append(keys, rows(60))
    index = tmp_path / "features.index"
    whole, matrix = index.read_bytes(), (tmp_path / "features.f32").read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 60).tolist():
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        (tmp_path / "features.f32").write_bytes(matrix)
        store = FeatureStore(tmp_path, 4)
        assert_right_or_missing(store, keys, rows(60))


def test_what_is_kept_is_found_without_knowing_its_length_unless_that_is_damaged(tmp_path: Path) -> None:
    folder, keys, features = tmp_path / "store", keyed(*range(20)), rows(20)
    assert FeatureStore.kept(folder) is None
    FeatureStore(folder, 4)
    assert FeatureStore.kept(folder) is None, "it holds nothing"
    FeatureStore(folder, 4).append(keys, features)
    found = FeatureStore.kept(folder)
    assert found
    assert_array_equal(kept(found, keys), features)

    index = folder / "features.index"
    whole = index.read_bytes()
    for place in range(feature_store.HEAD):
        for damage in (1, 128):
            index.write_bytes(whole[:place] + bytes([whole[place] ^ damage]) + whole[place + 1 :])
            if store := FeatureStore.kept(folder):
                there, missing = store.get(keys)
                assert_array_equal(len(missing) == 20 or there, features)
    for end in (0, 10, feature_store.HEAD, feature_store.HEAD + 5):
        index.write_bytes(whole[:end])
        assert FeatureStore.kept(folder) is None


@pytest.mark.parametrize("name", ["features.f32", "features.index", ""])
def test_what_stands_in_the_caches_place_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "texts" / name if name else tmp_path / "texts").parent.mkdir(exist_ok=True)
    if name:
        (tmp_path / "texts" / name).mkdir()
    else:
        (tmp_path / "texts").write_text("a file")
    with pytest.raises(NegRefineError, match=r"^the cache in \S+texts cannot be used \(.*delete that folder") as raised:
        FeatureStore(tmp_path / "texts", 4).append(keyed("a"), rows(1))
    assert "\n" not in str(raised.value)


def test_a_full_disk_is_said_in_one_line_and_leaves_no_wrong_row(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(keyed("a"), rows(1))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limit[1]))  # bytes a file may have: a quarter of the second row
    try:
        with pytest.raises(NegRefineError, match=r"cannot keep features in .*File too large.*free some space"):
            store.append(keyed("b"), rows(1, seed=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert store.missing(keyed("a", "b")).tolist() == [1]
    store.append(keyed("c"), rows(1, seed=4))
    assert_array_equal(kept(store, keyed("a", "c")), np.concatenate([rows(1), rows(1, seed=4)]))


def test_rows_are_found_however_many_were_kept_at_a_time(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    store, dim, count = FeatureStore(tmp_path, 4), 4, 700
    keys, features = keyed(*range(count)), rows(count, dim=dim)
    order, start = generator.permutation(count), 0
    while start < count:
        some = order[start : start + generator.integers(1, 60)].tolist()
        store.append([keys[i] for i in some], features[some])
        start += len(some)
        assert store.missing(keys).tolist() == sorted(order[start:].tolist())
    assert_array_equal(kept(store, keys), features)
    assert_array_equal(kept(FeatureStore(tmp_path, 4), keys), features)
    assert len(store) == count


def test_what_another_process_keeps_damages_or_makes_anew_is_seen_at_the_next_look(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    mine, other = FeatureStore(folder, 4), FeatureStore(folder, 4)
    mine.append(keyed("a"), rows(1))
    other.append(keyed("b"), rows(1, seed=1))
    assert_array_equal(kept(mine, keyed("a", "b")), np.concatenate([rows(1), rows(1, seed=1)]))
    with (folder / "features.f32").open("r+b") as file:
        file.write(bytes(16))
    assert other.get(keyed("a"))[1].tolist() == [0]
    assert mine.get(keyed("a", "b"))[1].tolist() == mine.missing(keyed("a", "b")).tolist() == [0]
    shutil.rmtree(folder)
    FeatureStore(folder, 4).append(keyed("c", "a"), rows(2, seed=2))
    assert mine.missing(keyed("a", "b", "c")).tolist() == [1]
    assert_array_equal(kept(mine, keyed("c", "a")), rows(2, seed=2))


def test_a_row_that_is_anothers_by_now_is_not_forgotten_with_the_one_before(tmp_path: Path) -> None:
    """A matrix was cut and went on while this process knew only the rows before."""
    mine, other = FeatureStore(tmp_path, 4), FeatureStore(tmp_path, 4)
    mine.append(keyed("a", "b", "c"), rows(3))
    with (tmp_path / "features.f32").open("r+b") as file:
        file.truncate(16)
    other.append(keyed("d", "e", "f"), rows(3, seed=1))
    assert mine.get(keyed("b"))[1].tolist() == [0]
    assert_array_equal(kept(mine, keyed("a", "d", "e", "f")), np.concatenate([rows(1), rows(3, seed=1)]))


def test_the_index_of_an_older_version_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"SQLite format 3\0")
    (tmp_path / "features.f32").write_bytes(rows(3).tobytes())
    store = FeatureStore(tmp_path, 4)
    assert store.missing(keyed("a")).tolist() == [0]
    store.append(keyed("a"), rows(1, seed=1))
    assert_array_equal(kept(FeatureStore(tmp_path, 4), keyed("a")), rows(1, seed=1))
