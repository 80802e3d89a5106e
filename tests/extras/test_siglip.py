"""SigLIP's texts, by the tokenizer of Hugging Face's that comes with a model of its kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from negrefine_core.encoder import OpenClipEncoder
from tests.core.test_encoder import TEXTS, full_context
from tests.support.models import TINY, write_model

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

SIGLIP: dict[str, Any] = TINY | {  # as open_clip's SigLIP models are: their texts need a Hugging Face tokenizer
    "custom_text": True,
    "text_cfg": TINY["text_cfg"]
    | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True, "context_length": 12, "vocab_size": 64}
    | {"hf_tokenizer_name": "timm/ViT-B-16-SigLIP", "tokenizer_kwargs": {"clean": "canonicalize"}},
}


def write_tokenizer(folder: Path, words: Sequence[str]) -> None:
    """A Hugging Face tokenizer of whole words, beside the model that it is of."""
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {word: i for i, word in enumerate(words, 3)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)


def test_a_siglip_model_reads_texts_with_its_own_tokenizer(tmp_path: Path) -> None:
    name = write_model(tmp_path / "one", SIGLIP)
    write_tokenizer(tmp_path / "one", ["a", "dog", "cat"])
    encoder = OpenClipEncoder(name, device="cpu")
    a_dog, again, a_cat = encoder.encode_texts(["A dog!", "a dog", "a cat"])
    assert a_dog.equal(again)  # SigLIP's texts have neither case nor marks
    assert not a_dog.allclose(a_cat, atol=1e-3)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), full_context(encoder, TEXTS), atol=1e-5, rtol=0)
    assert not encoder.is_too_long("dog " * 11)
    assert encoder.is_too_long("dog " * 12)

    other = write_model(tmp_path / "two", SIGLIP)  # the same weights with another tokenizer
    write_tokenizer(tmp_path / "two", ["a", "cat", "dog"])
    assert OpenClipEncoder(other, device="cpu").fingerprint != encoder.fingerprint
