"""Token rows of labels in templates, put together from the tokens of their words.

CLIP's tokenizer cuts a text at its white space first: its tokens are its words' tokens, one word after another. So each
word is split once, and a template's own words once for all labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .labels import fill


@dataclass(frozen=True)
class _Frame:
    """The tokens of a template around its label, with the start and the end of the text."""

    before: np.ndarray  # (b,)
    after: np.ndarray  # (a,)
    is_joined: bool  # whether what follows the label stands close to it, as the full stop of "the nice {}." does


class LabelTokens:
    """Token rows equal to those of an open_clip tokenizer.

    To the tokenizer itself are left: texts that are not plain (printable ASCII without "&"), which it may mend before
    it splits them; templates that are glued to their label; and whole tokenizers other than CLIP's.
    """

    def __init__(self, tokenizer: Any) -> None:
        from open_clip.tokenizer import SimpleTokenizer, get_clean_fn  # here: they take seconds to import

        self.tokenizer = tokenizer
        self.context = int(tokenizer.context_length)
        self._is_clips = (
            type(tokenizer) is SimpleTokenizer
            and tokenizer.clean_fn is get_clean_fn("lower")
            and tokenizer.reduction_fn is None
        )
        self._of_word: dict[str, list[int]] = {}

    def rows(self, labels: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(L x T, W) tokens of the texts, the templates of one label after another; zeros follow the end of a text.

        W is the longest text's length or more, and at most the model's context, at which texts are cut.
        """
        frames = [frame for template in templates if (frame := self._frame(template))]
        if len(frames) < len(templates):
            return self._by_tokenizer(labels, templates)
        is_joined = any(frame.is_joined for frame in frames)
        plain = [i for i, label in enumerate(labels) if _is_plain(label) and not (is_joined and _ends_apart(label))]
        if not plain:
            return self._by_tokenizer(labels, templates)
        rows = self._put_together([labels[i] for i in plain], frames)  # (l, T, W)
        if len(plain) < len(labels):
            others = sorted(set(range(len(labels))) - set(plain))
            whole = np.zeros((len(labels), len(templates), self.context), dtype=np.int64)
            whole[plain, :, : rows.shape[2]] = rows
            left = self._by_tokenizer([labels[i] for i in others], templates)
            whole[others] = left.view(len(others), len(templates), -1).numpy()
            rows = whole
        return torch.from_numpy(rows.reshape(-1, rows.shape[2]))

    def _by_tokenizer(self, labels: Sequence[str], templates: Sequence[str]) -> Tensor:
        texts = [fill(template, label) for label in labels for template in templates]
        tokens: Tensor = self.tokenizer(texts)  # (L x T, context)
        return tokens

    def _frame(self, template: str) -> _Frame | None:
        """None where the template's own tokens may depend on the label."""
        before, _, after = template.partition("{}")
        is_joined = after[:1] not in ("", " ")
        apart = before[-1:] in ("", " ") and not after[:1].isalnum()
        if not (self._is_clips and template.count("{}") == 1 and apart and _is_plain(template)):
            return None
        return _Frame(
            np.array([self.tokenizer.sot_token_id, *self._of(before)]),
            np.array([*self._of(after), self.tokenizer.eot_token_id]),
            is_joined,
        )

    def _of(self, text: str) -> list[int]:
        """The tokens of a plain text's words."""
        return list(chain.from_iterable(map(self._word, text.split())))

    def _word(self, word: str) -> list[int]:
        tokens = self._of_word.get(word)
        if tokens is None:
            tokens = self._of_word[word] = self.tokenizer.encode(word)
        return tokens

    def _put_together(self, labels: Sequence[str], frames: Sequence[_Frame]) -> np.ndarray:
        """(L, T, W) of plain labels in frames."""
        of_labels = [self._of(label) for label in labels]
        lengths = np.fromiter(map(len, of_labels), np.int64, len(labels))  # (L,)
        longest = int(lengths.max())
        words = np.zeros((len(labels), longest), dtype=np.int64)  # (L, w)
        words[np.arange(longest) < lengths[:, None]] = list(chain.from_iterable(of_labels))
        around = max(len(frame.before) + len(frame.after) for frame in frames)
        rows = np.zeros((len(labels), len(frames), longest + around), dtype=np.int64)  # (L, T, W)
        every = np.arange(len(labels))[:, None]  # (L, 1)
        for t, frame in enumerate(frames):
            start = len(frame.before)
            rows[:, t, :start] = frame.before
            rows[:, t, start : start + longest] = words
            ends = start + lengths[:, None] + np.arange(len(frame.after))  # (L, a)
            rows[every, t, ends] = frame.after
        return self._cut(rows)

    def _cut(self, rows: np.ndarray) -> np.ndarray:
        """Rows (..., W) within the context: a longer text loses its end, and the end-of-text token takes its place."""
        if rows.shape[-1] > self.context:
            is_longer = rows[..., self.context] != 0
            rows = np.ascontiguousarray(rows[..., : self.context])
            rows[is_longer, -1] = self.tokenizer.eot_token_id
        return rows


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "&" not in text


def _ends_apart(label: str) -> bool:
    """Whether a label ends in punctuation, whose tokens depend on what stands close to it."""
    return not (label[-1:].isalnum() or label[-1:] in ("", " "))
