"""Token rows that are put together from words are the tokenizer's own, whatever is in the label or the template."""

import os
import random
from collections.abc import Sequence
from typing import Any

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from negrefine_core.labels import ADJECTIVE_TEMPLATES, BARE, NOUN_TEMPLATES, fill, read_class_list
from negrefine_core.lexicon import candidates
from negrefine_core.text_tower import BLOCK, PrefixTree, prefix_tree
from negrefine_core.tokens import LabelTokens

IS_DEEP = os.environ.get("NEGREFINE_INPUTS") == "deep"
ODD = [
    "", " ", "dog", " dog", "dog ", "red  fox", "St. Bernard", "jack-o'-lantern", "driver's", "'s", "dogs'", "C.",
    "mark 2", "2", "1,000", "AT&T", "&amp;", "a &lt; b", "Łódź", "naïve", "犬", "ﬁg", "“quoted”", "x\ty", "x\ny",
    "\x1b[1m", "<start_of_text>", "<end_of_text>", "end_of_text", "{}", "{0} and {}", "dog " * 90, "a" * 300, "!!",
    "I'LL", "o'clock", "_", "fox.", "fox!", "fox)", "0.5", "٣", "Ⅷ", "C",
]  # fmt: skip
FRAMES = [
    *NOUN_TEMPLATES, *ADJECTIVE_TEMPLATES, "a sketch of a {}", "{}s", "({})", "x{} y", "{} {}", "no label", "naïve {}",
    "{}'s", "{}'", "'{}", "{}!!", "{} .", "a  {}  b", "",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return open_clip.get_tokenizer("ViT-B-16")


def check(tokenizer: Any, labels: Sequence[str], templates: Sequence[str], tokens: LabelTokens | None = None) -> None:
    rows = (tokens or LabelTokens(tokenizer)).rows(labels, templates)
    expected = tokenizer([fill(template, label) for label in labels for template in templates])
    assert rows.dtype == expected.dtype
    assert torch.equal(rows, expected[:, : rows.shape[1]])
    assert not expected[:, rows.shape[1] :].any()


@pytest.mark.parametrize("template", FRAMES)
def test_odd_labels_have_the_tokenizers_tokens_alone_and_together(tokenizer: Any, template: str) -> None:
    tokens = LabelTokens(tokenizer)
    check(tokenizer, ODD, [template], tokens)
    for label in ODD:
        check(tokenizer, [label], [template], tokens)


def test_templates_of_several_kinds_stand_beside_each_other(tokenizer: Any) -> None:
    check(tokenizer, ODD, [*NOUN_TEMPLATES, "{}s"])
    check(tokenizer, ODD, NOUN_TEMPLATES)
    check(tokenizer, ["red fox", "dog"], NOUN_TEMPLATES)


@settings(deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.text(st.characters(max_codepoint=0x17F)) | st.text("ab '.&<>;2-A"), min_size=1, max_size=4),
    st.text("ab '.2-") | st.sampled_from(["", "the "]),
    st.text("ab '.2-!") | st.sampled_from(["", ".", " and b"]),
)
def test_made_up_labels_have_the_tokenizers_tokens(labels: list[str], before: str, after: str) -> None:
    check(_SHARED, labels, [f"{before}{{}}{after}"])


_SHARED = SimpleTokenizer()


def test_pairs_of_labels_have_the_tokenizers_tokens(tokenizer: Any) -> None:
    ids = read_class_list("imagenet").labels
    words = candidates(ids)
    negatives = [*words.nouns, *words.adjective_phrases]
    draw = random.Random(0)  # noqa: S311 - a seeded draw, not a secret
    tokens = LabelTokens(tokenizer)
    for _ in range(100 if IS_DEEP else 1):  # 250 x 8 texts each: 200,000 in all
        pairs = [f"{draw.choice(ids)} and {draw.choice(negatives)}" for _ in range(250)]
        check(tokenizer, pairs, NOUN_TEMPLATES, tokens)
    check(tokenizer, negatives if IS_DEEP else negatives[::40], ["{}", NOUN_TEMPLATES[0]], tokens)


@pytest.mark.parametrize("other", [SimpleTokenizer(clean="canonicalize"), SimpleTokenizer(reduction_mask="simple")])
def test_another_tokenizer_than_clips_splits_every_text_itself(other: Any) -> None:
    if other.reduction_fn is None:
        check(other, ODD[2:], NOUN_TEMPLATES)
    assert LabelTokens(other).rows(["dog"], BARE).shape == (1, other.context_length)


@pytest.mark.parametrize("context", [4, 8, 16, 32])
def test_a_longer_text_is_cut_at_the_models_context(context: int) -> None:
    check(SimpleTokenizer(context_length=context), ODD, NOUN_TEMPLATES)


@pytest.mark.parametrize("texts", [1, 7, 300])
def test_a_trees_nodes_are_the_distinct_prefixes_each_above_those_that_go_on_from_it(texts: int) -> None:
    generator = torch.Generator().manual_seed(texts)
    lengths = torch.randint(1, 9, (texts,), generator=generator)
    tokens = torch.randint(0, 3, (texts, 10), generator=generator)
    tokens[torch.arange(10) >= lengths[:, None]] = 0
    tree = prefix_tree(tokens, lengths)
    expected = [tuple(row[:length]) for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
    assert [_path(tree, end) for end in tree.ends.tolist()] == expected
    distinct = {text[: i + 1] for text in expected for i in range(len(text))}
    used = {_path(tree, node) for end in tree.ends.tolist() for node in _above(tree, end)}
    assert used == distinct
    assert len(tree.tokens) % BLOCK == 0
    for first, above in zip(range(0, len(tree.tokens), BLOCK), tree.above.tolist(), strict=True):
        assert [node for node in above if node < len(tree.tokens)] == _above(tree, first)[:-1]


def _above(tree: PrefixTree, node: int) -> list[int]:
    """The nodes from the first token's to this one."""
    return [i for i, below in enumerate(tree.below.tolist()) if i <= node < below]


def _path(tree: PrefixTree, node: int) -> tuple[int, ...]:
    path = _above(tree, node)
    assert tree.depths[path].tolist() == list(range(len(path)))
    return tuple(tree.tokens[path].tolist())
