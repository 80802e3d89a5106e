"""CLIP encoders: exact text features without padding, one clear error for what cannot be had, honest fingerprints."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import QuickGELU
from torch.nn.functional import normalize

from negrefine_core import encoder as module
from negrefine_core.encoder import PRESETS, OpenClipEncoder, load_encoder
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import NOUN_TEMPLATES
from negrefine_core.text_tower import PrefixTree
from tests.support.models import TINY, TINY_PREPROCESS, write_model
from tests.support.pictures import picture
from tests.support.project import ROOT

TEXTS = ["a", "dog", "a close-up photo of the nice red fox.", "the good dog and red fox", "", "Łódź 犬 {}", "dog " * 40,
         "a photo with the nice dog", "a photo with the nice dog and cat"]  # fmt: skip


def variant(**text: Any) -> dict[str, Any]:
    return {**TINY, "text_cfg": TINY["text_cfg"] | text}


def full_context(encoder: OpenClipEncoder, texts: list[str]) -> torch.Tensor:
    """open_clip's own encode_text on whole, padded rows."""
    with torch.inference_mode():
        return normalize(encoder._model.encode_text(encoder._tokenizer(texts)), dim=-1)


@pytest.mark.parametrize(
    ("config", "cut"),
    [(TINY, True),
     ({**TINY, "quick_gelu": True}, True),
     ({**TINY, "custom_text": True}, True),
     ({**variant(proj_type="none", width=64), "custom_text": True}, True),
     ({**variant(proj_bias=True), "custom_text": True}, True),
     (variant(pool_type="eos", eos_id=49407), False),
     ({**variant(no_causal_mask=True), "custom_text": True}, False),
     (variant(no_causal_mask=True), False),
     ({**variant(no_causal_mask=True, pool_type="last", proj_bias=True), "custom_text": True}, False),
     ({**variant(pool_type="last"), "custom_text": True}, False),
     ({**variant(embed_cls=True), "custom_text": True}, False),
     ({**variant(qk_norm=True, block_type="custom"), "custom_text": True}, False)],
    ids=["CLIP", "QuickGELU", "CustomTextCLIP", "no projection", "projection with bias", "eos pooling",
         "not causal", "not causal CLIP", "SigLIP-like", "last token", "appended class token", "other blocks"],
)  # fmt: skip
def test_text_features_are_open_clips_own_at_full_context(tmp_path: Path, config: dict[str, Any], cut: bool) -> None:
    encoder = OpenClipEncoder(write_model(tmp_path, config), device="cpu")
    if encoder.cuts_padding:
        assert cut  # padding may be kept where it need not be, but never cut where it counts
    assert encoder.cuts_padding or config is not TINY
    torch.testing.assert_close(encoder.encode_texts(TEXTS), full_context(encoder, TEXTS), atol=1e-5, rtol=0)


def test_padding_would_change_the_features_of_a_tower_that_is_not_causal(tmp_path: Path) -> None:
    """The test above can fail: without the causal mask, what follows the text matters."""
    encoder = OpenClipEncoder(
        write_model(tmp_path, {**variant(no_causal_mask=True), "custom_text": True}), device="cpu"
    )
    tokens = encoder._tokenizer(["dog"])
    with torch.inference_mode():
        changed = tokens.clone()
        changed[0, -1] = 5
        difference = (encoder._model.encode_text(tokens) - encoder._model.encode_text(changed)).abs().max()
    assert float(difference) > 1e-4


def test_a_labels_feature_is_the_normalised_mean_of_its_templates_raw_features(encoder: OpenClipEncoder) -> None:
    labels = ["red fox", "dog", "set {} of {0}"]
    expected = []
    for label in labels:
        texts = [template.replace("{}", label) for template in NOUN_TEMPLATES]
        with torch.inference_mode():
            raw = encoder._model.encode_text(encoder._tokenizer(texts))
        expected.append(normalize(raw.mean(0), dim=0))
    found = encoder.encode_labels(labels, NOUN_TEMPLATES)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)
    assert (found.dtype, found.shape) == (torch.float32, (3, encoder.dim))


def test_features_do_not_depend_on_the_order_or_company_of_texts(
    encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"word {i} " * (i % 7) for i in range(60)]
    forward = encoder.encode_texts(texts)
    torch.testing.assert_close(encoder.encode_texts(texts[::-1]).flip(0), forward, atol=1e-5, rtol=0)
    alone = torch.cat([encoder.encode_texts([text]) for text in texts[:20]])
    torch.testing.assert_close(alone, forward[:20], atol=1e-5, rtol=0)
    monkeypatch.setattr(module, "LABEL_CHUNK", 7)
    torch.testing.assert_close(encoder.encode_texts(texts), forward, atol=1e-5, rtol=0)


def test_the_same_text_twice_has_the_same_feature(encoder: OpenClipEncoder) -> None:
    twice = encoder.encode_texts(["dog", "cat", "dog"])
    assert twice[0].equal(twice[2])
    assert not twice[0].equal(twice[1])


def test_nothing_in_gives_nothing_out(encoder: OpenClipEncoder) -> None:
    for empty in (encoder.encode_texts([]), encoder.encode_labels([], NOUN_TEMPLATES), encoder.encode_images([])):
        assert empty.shape == (0, encoder.dim)


def test_image_features_are_open_clips_own(encoder: OpenClipEncoder) -> None:
    images = [picture(i, size) for i, size in enumerate([(40, 32), (9, 70), (200, 64)])]
    _, _, preprocess = open_clip.create_model_and_transforms("local-dir:" + str(_folder(encoder)))
    pixels = torch.stack([preprocess(image) for image in images])  # (B, 3, H, W)
    assert encoder._model_input(torch.stack([encoder.preprocess(image) for image in images])).equal(pixels)
    with torch.inference_mode():
        expected = normalize(encoder._model.encode_image(pixels), dim=-1)
    found = encoder.encode_images(images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(encoder.encode_images(images[1:2]), found[1:2], atol=1e-5, rtol=0)


@pytest.fixture(autouse=True)
def _remember_the_folder(tiny_model: str) -> None:
    _FOLDERS["tiny"] = Path(tiny_model.removeprefix("local-dir:"))


_FOLDERS: dict[str, Path] = {}


def _folder(_: OpenClipEncoder) -> Path:
    return _FOLDERS["tiny"]


def test_a_batch_that_the_devices_memory_does_not_hold_is_halved(
    encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = [picture(i) for i in range(5)], ["red fox", "dog", "cat"]
    expected = encoder.encode_images(images), encoder.encode_labels(labels, NOUN_TEMPLATES)
    pixels, tree = OpenClipEncoder._pixel_features, OpenClipEncoder.encode_tree
    sizes: list[int] = []

    def holding(most: int) -> None:
        def small_pixels(self: OpenClipEncoder, batch: torch.Tensor) -> torch.Tensor:
            sizes.append(len(batch))
            return pixels(self, batch) if len(batch) <= most else _out_of_memory()

        def small_tree(self: OpenClipEncoder, batch: PrefixTree) -> torch.Tensor:
            return tree(self, batch) if len(batch.ends) <= most else _out_of_memory()

        monkeypatch.setattr(OpenClipEncoder, "_pixel_features", small_pixels)
        monkeypatch.setattr(OpenClipEncoder, "encode_tree", small_tree)

    holding(2)
    torch.testing.assert_close(encoder.encode_images(images), expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.encode_labels(labels, NOUN_TEMPLATES), expected[1], atol=1e-5, rtol=0)
    assert sizes == [5, 3, 2, 1, 2]
    holding(0)
    for encode in (lambda: encoder.encode_images(images), lambda: encoder.encode_texts(labels)):
        with pytest.raises(NegRefineError, match=r"too little memory for a single image or text; .* device 'cpu'"):
            encode()


def _out_of_memory() -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_progress_ends_at_the_number_of_labels(encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LABEL_CHUNK", 4)
    calls: list[tuple[int, int]] = []
    encoder.encode_labels([f"word {i}" for i in range(10)], ("{}",), lambda done, total: calls.append((done, total)))
    assert calls == [(4, 10), (8, 10), (10, 10)]


def test_a_name_over_the_context_is_noticed_and_one_that_just_fits_is_not(encoder: OpenClipEncoder) -> None:
    fits = " ".join(["dog"] * 22)  # 24 with the start and the end of the text
    assert not encoder.is_too_long("red fox")
    assert not encoder.is_too_long(fits)
    assert encoder.is_too_long(fits + " dog")
    assert encoder.encode_texts([fits + " dog"]).isfinite().all()


# --- which model ---------------------------------------------------------------------------------------------------


def test_the_papers_preset_uses_quick_gelu_throughout() -> None:
    model, tag = PRESETS["paper"]
    assert open_clip.get_pretrained_cfg(model, tag)["quick_gelu"]
    paper = OpenClipEncoder(model, "random", device="cpu")
    activations = [block.mlp.gelu for tower in (paper._model.transformer, paper._model.visual.transformer)
                   for block in tower.resblocks]  # fmt: skip
    assert len(activations) == 24
    assert all(isinstance(activation, QuickGELU) for activation in activations)
    assert (paper.dim, paper.context_length, paper.cuts_padding) == (512, 77, True)
    torch.testing.assert_close(paper.encode_texts(["a dog"]), full_context(paper, ["a dog"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("model", "tag", "quick"),
    [("ViT-B-16", "openai", True), ("ViT-B-16", "dfn2b", True), ("ViT-B-16-quickgelu", "openai", True),
     ("ViT-B-16", "laion2b_s34b_b88k", False)],
)  # fmt: skip
def test_a_tag_trained_with_quick_gelu_forces_it(
    monkeypatch: pytest.MonkeyPatch, model: str, tag: str, quick: bool
) -> None:
    asked: dict[str, Any] = {}

    def stop(*_: object, **options: Any) -> None:
        asked.update(options)
        raise RuntimeError("no download in tests")

    for name in ("create_model_and_transforms", "create_model_from_pretrained"):
        monkeypatch.setattr(open_clip, name, stop)
    with pytest.raises(NegRefineError, match="no download in tests"):
        OpenClipEncoder(model, tag, device="cpu")
    assert asked["force_quick_gelu"] is quick


def test_presets_name_models_and_tags_that_open_clip_has() -> None:
    for preset, (model, tag) in PRESETS.items():
        if preset != "demo":
            assert tag in open_clip.list_pretrained_tags_by_model(model), preset


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [("ViT-B/16", "openai", "open_clip has no model 'ViT-B/16'; did you mean .*ViT-B-16"),
     ("%%%", "x", "open_clip has no model '%%%'; did you mean hf-hub:ORG/NAME"),
     ("ViT-B-16", None, r"ViT-B-16 needs weights: give a pretrained tag \(.*openai"),
     ("ViT-B-16", "no-such-tag", "cannot load the weights of ViT-B-16/no-such-tag: .*local checkpoint file"),
     ("local-dir:/no/folder", None, "cannot load the weights of local-dir:/no/folder: .*bundled model 'demo'"),
     ("hf-hub:nobody/no-such-model", None, "cannot load the weights of hf-hub:nobody/no-such-model"),
     ("paper", "openai", "open_clip has no model 'paper'")],
)  # fmt: skip
def test_a_model_or_weights_that_cannot_be_had_say_what_to_do(model: str, pretrained: str | None, message: str) -> None:
    with pytest.raises(NegRefineError, match=message):
        load_encoder(model, pretrained, device="cpu")


OF_HUGGING_FACE = [
    name
    for name in open_clip.list_models()
    if {"hf_tokenizer_name", "hf_model_name"} & (open_clip.get_model_config(name) or {})["text_cfg"].keys()
]


@pytest.mark.parametrize("model", OF_HUGGING_FACE)
def test_a_model_whose_tokenizer_needs_another_package_says_which(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NegRefineError, match=f"{model} .* pip install transformers"):
        OpenClipEncoder(model, "random", device="cpu")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "xpu:0"])
def test_a_device_that_is_not_there_says_what_to_use(tiny_model: str, device: str) -> None:
    with pytest.raises(NegRefineError, match=f"device '{device}' cannot be used .*; use 'auto' or 'cpu'"):
        OpenClipEncoder(tiny_model, device=device)


def test_an_unknown_preset_is_named_beside_those_there_are() -> None:
    with pytest.raises(NegRefineError, match="no model preset 'best'; choose one of demo, paper, strong, siglip2"):
        OpenClipEncoder.from_preset("best")


def test_a_model_folder_without_weights_is_an_error_and_not_a_random_model(tmp_path: Path) -> None:
    name = write_model(tmp_path, TINY)
    (tmp_path / "open_clip_model.safetensors").unlink()
    with pytest.raises(NegRefineError, match="cannot load the weights"):
        OpenClipEncoder(name, device="cpu")


@pytest.mark.parametrize("damage", ["weights", "config", "other shape"])
def test_a_damaged_model_folder_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    name = write_model(tmp_path, TINY)
    config = tmp_path / "open_clip_config.json"
    if damage == "weights":
        (tmp_path / "open_clip_model.safetensors").write_bytes(b"garbage")
    elif damage == "config":
        config.write_text("{", encoding="utf-8")
    else:
        config.write_text(json.dumps({"model_cfg": variant(width=128), "preprocess_cfg": {}}), encoding="utf-8")
    with pytest.raises(NegRefineError, match="cannot load the weights"):
        OpenClipEncoder(name, device="cpu")


def test_a_checkpoint_file_serves_as_weights(tmp_path: Path) -> None:
    checkpoint = tmp_path / "mine.pt"
    source = OpenClipEncoder("ViT-S-32-alt", "random", device="cpu")
    weights = {
        name: weight + (0.01 if name == "text_projection" else 0) for name, weight in source._model.state_dict().items()
    }
    torch.save(weights, checkpoint)
    loaded = OpenClipEncoder("ViT-S-32-alt", str(checkpoint), device="cpu")
    assert loaded.name == "ViT-S-32-alt/mine.pt"
    assert loaded.fingerprint != source.fingerprint
    assert loaded._model.text_projection.equal(weights["text_projection"])


def test_loading_a_model_leaves_the_users_random_state_alone(tiny_model: str) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    OpenClipEncoder(tiny_model, device="cpu")
    assert torch.rand(1).equal(expected)


# --- fingerprints ----------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_the_same_for_the_same_model_wherever_it_lies(
    tmp_path: Path, encoder: OpenClipEncoder
) -> None:
    shutil.copytree(_folder(encoder), tmp_path / "moved")
    assert OpenClipEncoder(f"local-dir:{tmp_path / 'moved'}", device="cpu").fingerprint == encoder.fingerprint


@pytest.mark.parametrize(
    ("config", "preprocess", "seed"),
    [(TINY, TINY_PREPROCESS, 1),
     ({**TINY, "quick_gelu": True}, TINY_PREPROCESS, 0),
     (TINY, TINY_PREPROCESS | {"mean": [0.4] * 3}, 0),
     (TINY, TINY_PREPROCESS | {"interpolation": "bilinear"}, 0),
     (TINY, TINY_PREPROCESS | {"resize_mode": "squash"}, 0),
     (variant(heads=8), TINY_PREPROCESS, 0),
     (variant(pool_type="eos", eos_id=49406), TINY_PREPROCESS, 0)],
    ids=["weights", "activation", "mean", "interpolation", "resize mode", "attention heads", "pooling"],
)  # fmt: skip
def test_whatever_changes_a_feature_changes_the_fingerprint(
    tmp_path: Path, encoder: OpenClipEncoder, config: dict[str, Any], preprocess: dict[str, Any], seed: int
) -> None:
    assert (
        OpenClipEncoder(write_model(tmp_path, config, preprocess, seed), device="cpu").fingerprint
        != encoder.fingerprint
    )


@pytest.mark.slow
def test_the_fingerprint_is_the_same_in_another_process(tiny_model: str, encoder: OpenClipEncoder) -> None:
    import subprocess

    script = f"from negrefine_core import load_encoder; print(load_encoder({tiny_model!r}, device='cpu').fingerprint)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == encoder.fingerprint
