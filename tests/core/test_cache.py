"""The feature cache: the same numbers, whatever is killed, deleted or running beside it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from negrefine_core import cache
from negrefine_core.cache import CachedEncoder, FeatureStore
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import Cancelled, NegRefineError
from negrefine_core.labels import NOUN_TEMPLATES
from tests.support.project import ROOT

LABELS = [f"word {i}" for i in range(30)]


class Counting:
    """The real encoder, noting which labels it was asked for."""

    def __init__(self, encoder: OpenClipEncoder) -> None:
        self.encoder = encoder
        self.name, self.dim, self.fingerprint = encoder.name, encoder.dim, encoder.fingerprint
        self.encoded: list[str] = []

    def encode_texts(self, texts):
        return self.encoder.encode_texts(texts)

    def encode_labels(self, labels, templates, progress=None):
        self.encoded += labels
        return self.encoder.encode_labels(labels, templates, progress)

    def encode_images(self, images):
        return self.encoder.encode_images(images)


def rows(n: int, seed: int = 0, dim: int = 4) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def test_cached_features_are_the_uncached_ones_to_the_bit(encoder: OpenClipEncoder, cached: CachedEncoder) -> None:
    plain = encoder.encode_labels(LABELS, NOUN_TEMPLATES)
    assert cached.encode_labels(LABELS, NOUN_TEMPLATES).equal(plain)
    assert cached.encode_labels(LABELS, NOUN_TEMPLATES).equal(plain)
    assert CachedEncoder(encoder, cached.folder.parent).encode_labels(LABELS, NOUN_TEMPLATES).equal(plain)


def test_cached_features_come_in_the_order_asked_for_with_repeats(
    encoder: OpenClipEncoder, cached: CachedEncoder
) -> None:
    cached.encode_texts(LABELS)
    wanted = [LABELS[7], LABELS[2], LABELS[7], "new", LABELS[0], "new"]
    torch.testing.assert_close(cached.encode_texts(wanted), encoder.encode_texts(wanted), atol=1e-6, rtol=0)
    assert cached.encode_texts([]).shape == (0, encoder.dim)


def test_a_label_is_encoded_once_for_each_template_set(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    counting = Counting(encoder)
    model = CachedEncoder(counting, tmp_path)
    bare, nouns = model.encode_texts(LABELS), model.encode_labels(LABELS, NOUN_TEMPLATES)
    assert counting.encoded == LABELS * 2
    assert not bare.equal(nouns)
    assert model.encode_texts(LABELS).equal(bare)
    model.encode_texts([*LABELS, "one more"])
    assert counting.encoded == LABELS * 2 + ["one more"]


def test_labels_and_templates_with_the_same_letters_do_not_meet(
    encoder: OpenClipEncoder, cached: CachedEncoder
) -> None:
    for labels, templates in ((["b"], ("a{}",)), (["a{}\0b"], ("{}",)), (["{}"], ("a{}\nb{}",)), (["ab"], ("{}",))):
        torch.testing.assert_close(cached.encode_labels(labels, templates), encoder.encode_labels(labels, templates))


def test_another_model_does_not_see_these_features(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    first, other = Counting(encoder), Counting(encoder)
    other.fingerprint = "another"
    CachedEncoder(first, tmp_path).encode_texts(LABELS)
    CachedEncoder(other, tmp_path).encode_texts(LABELS)
    assert other.encoded == LABELS


def test_after_a_cancel_only_what_is_missing_is_encoded(
    encoder: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LABEL_CHUNK", 8)
    counting = Counting(encoder)
    model = CachedEncoder(counting, tmp_path)

    def cancel(done: int, total: int) -> None:
        if done >= 16:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        model.encode_labels(LABELS, ("{}",), cancel)
    assert counting.encoded == LABELS[:16]
    calls: list[tuple[int, int]] = []
    found = model.encode_labels(LABELS, ("{}",), lambda done, total: calls.append((done, total)))
    assert counting.encoded == LABELS
    assert sorted(set(calls)) == [(24, 30), (30, 30)]
    torch.testing.assert_close(found, encoder.encode_texts(LABELS), atol=1e-6, rtol=0)


def test_progress_is_told_even_when_everything_is_known(cached: CachedEncoder) -> None:
    cached.encode_texts(LABELS)
    calls: list[tuple[int, int]] = []
    cached.encode_labels(LABELS, ("{}",), lambda done, total: calls.append((done, total)))
    assert calls == [(30, 30)]


@pytest.mark.parametrize("tail", [1, 7, 16, 37])
def test_rows_written_but_never_committed_are_not_seen_and_are_overwritten(tmp_path: Path, tail: int) -> None:
    """A process killed between writing the matrix and committing the index leaves such a tail, of any length."""
    store = FeatureStore(tmp_path, 4)
    store.append(["a", "b"], rows(2))
    with (tmp_path / "features.f32").open("ab") as file:
        file.write(b"\x7f" * tail)
    for opened in (store, FeatureStore(tmp_path, 4)):
        assert opened.read(opened.find(["b", "a"])).equal(rows(2).flip(0))
        assert opened.find(["c"]).tolist() == [-1]
    store.append(["c"], rows(1, seed=5))
    again = FeatureStore(tmp_path, 4)
    assert again.read(again.find(["a", "b", "c"])).equal(torch.cat([rows(2), rows(1, seed=5)]))


@pytest.mark.parametrize("size", [0, 5, 16, 31, 47])
def test_a_matrix_that_was_cut_forgets_only_what_it_lost(tmp_path: Path, size: int) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(["a", "b", "c"], rows(3))
    with (tmp_path / "features.f32").open("r+b") as file:
        file.truncate(size)
    again = FeatureStore(tmp_path, 4)
    found = again.find(["a", "b", "c"])
    assert found.tolist() == [place if place < size // 16 else -1 for place in range(3)]
    assert again.read(found[found >= 0]).equal(rows(3)[: size // 16])
    again.append(["a", "b", "c"], rows(3))
    assert again.read(again.find(["a", "b", "c"])).equal(rows(3))


@pytest.mark.parametrize("name", ["features.f32", "index.sqlite"])
def test_a_deleted_cache_file_costs_time_and_nothing_else(tmp_path: Path, name: str) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(["a", "b"], rows(2))
    (tmp_path / name).unlink()
    again = FeatureStore(tmp_path, 4)
    assert again.find(["a", "b"]).tolist() == [-1, -1]
    again.append(["b"], rows(1, seed=2))
    assert again.read(again.find(["b"])).equal(rows(1, seed=2))


def test_a_key_that_is_there_keeps_its_first_features(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 4)
    store.append(["a"], rows(1))
    store.append(["b", "a", "c", "c"], rows(4, seed=9))
    expected = torch.cat([rows(1), rows(4, seed=9)[[0, 2]]])
    assert store.read(store.find(["a", "b", "c"])).equal(expected)


def test_an_empty_store_finds_and_reads_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 4)
    assert store.find([]).shape == (0,)
    assert store.find(["a"]).tolist() == [-1]
    assert store.read(np.array([], dtype=np.int64)).shape == (0, 4)
    store.append([], torch.empty(0, 4))
    assert store.find(["a"]).tolist() == [-1]


@pytest.mark.slow
def test_two_processes_that_write_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    script = """
import sys, torch
from pathlib import Path
from negrefine_core.cache import FeatureStore
store = FeatureStore(Path(sys.argv[1]), 4)
for i in range(int(sys.argv[2]), 60, 2):
    keys = [f"{i}-{j}" for j in range(5)] + [f"shared-{i // 2}"]
    values = torch.tensor([[i, j, 0, 0] for j in range(5)] + [[i // 2, 0, 0, 9]]).float()
    store.append(keys, values)
    assert store.read(store.find(keys)).equal(values)
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)], cwd=ROOT) for n in (0, 1)]
    assert [writer.wait() for writer in writers] == [0, 0]
    store = FeatureStore(tmp_path, 4)
    for i in range(60):
        keys = [f"{i}-{j}" for j in range(5)] + [f"shared-{i // 2}"]
        expected = torch.tensor([[i, j, 0, 0] for j in range(5)] + [[i // 2, 0, 0, 9]]).float()
        assert store.read(store.find(keys)).equal(expected)


def test_a_damaged_index_says_which_folder_to_delete(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "texts", 3)
    store.append(["a"], rows(1))
    (tmp_path / "texts" / "index.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(NegRefineError, match=r"texts cannot be used \(file is not a database\).*delete"):
        store.find(["a"])
    with pytest.raises(NegRefineError, match="delete that folder"):
        FeatureStore(tmp_path / "texts", 3)
