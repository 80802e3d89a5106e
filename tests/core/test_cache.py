"""Features of labels: the cached ones are the model's own, and each is asked for once."""

from pathlib import Path

import pytest
import torch

from negrefine_core import cache
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import Cancelled, NegRefineError
from negrefine_core.labels import NOUN_TEMPLATES

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
    assert calls == [(16, 30), (24, 30), (30, 30)]  # what is known comes first: no rate counts it
    torch.testing.assert_close(found, encoder.encode_texts(LABELS), atol=1e-6, rtol=0)


def test_progress_is_told_even_when_everything_is_known(cached: CachedEncoder) -> None:
    cached.encode_texts(LABELS)
    calls: list[tuple[int, int]] = []
    cached.encode_labels(LABELS, ("{}",), lambda done, total: calls.append((done, total)))
    assert calls == [(30, 30)]


def test_a_damaged_label_feature_is_encoded_again(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    counting = Counting(encoder)
    model = CachedEncoder(counting, tmp_path)
    expected = model.encode_texts(LABELS)
    with (model.folder / "texts" / "features.f32").open("r+b") as file:
        file.seek(7 * encoder.dim * 4)
        file.write(bytes(8))
    torch.testing.assert_close(model.encode_texts(LABELS), expected, atol=1e-6, rtol=0)
    assert counting.encoded == [*LABELS, LABELS[7]]


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_what_is_no_feature_of_a_label_is_refused(encoder: OpenClipEncoder, tmp_path: Path, value: float) -> None:
    class Broken(Counting):
        def encode_labels(self, labels, templates, progress=None):
            return torch.full((len(labels), self.dim), value)

    model = CachedEncoder(Broken(encoder), tmp_path)
    with pytest.raises(NegRefineError, match="gives no usable feature for 'word 0'"):
        model.encode_texts(LABELS)
