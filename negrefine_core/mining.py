"""Negative mining: the candidate words least similar to the ID labels (CSP; paper, section 4.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .encoder import Encoder
from .errors import NegRefineError
from .hyperparameters import FRACTION as FRACTION
from .labels import (
    ADJECTIVE_TEMPLATES,
    NEGLABEL_ADJECTIVE_TEMPLATES,
    NEGLABEL_NOUN_TEMPLATES,
    NOUN_TEMPLATES,
    label_list,
)
from .lexicon import Candidates
from .progress import Progress, in_turn
from .records import Negative as Negative
from .records import PartOfSpeech as PartOfSpeech

NEGLABEL_PERCENTILE = 0.95  # NegLabel ranks by this percentile of a word's cosines with the ID labels
SIMILARITIES = 4_000_000  # worked out at once, whatever the number of classes: bounds the memory


def mine_negatives(
    encoder: Encoder,
    id_labels: Sequence[str],
    candidates: Candidates,
    fraction: float = FRACTION,
    noun_templates: Sequence[str] = NOUN_TEMPLATES,
    progress: Progress | None = None,
) -> list[Negative]:
    """The `fraction` of nouns, then of adjective phrases, whose highest cosine with any ID label is lowest.

    Each kind comes most distant first; its count is the integer part of `fraction` x candidates.
    """
    labels = encoder.encode_labels(label_list(id_labels), noun_templates)  # (P, D)
    of_nouns, of_phrases = in_turn(progress, _prompts(candidates, noun_templates, ADJECTIVE_TEMPLATES))
    nouns = encoder.encode_labels(candidates.nouns, noun_templates, of_nouns)  # (C, D)
    phrases = encoder.encode_labels(candidates.adjective_phrases, ADJECTIVE_TEMPLATES, of_phrases)
    return _least_similar("noun", candidates.nouns, nouns, labels, fraction) + _least_similar(
        "adjective", candidates.adjective_phrases, phrases, labels, fraction
    )


def mine_neglabel_negatives(
    encoder: Encoder,
    id_labels: Sequence[str],
    candidates: Candidates,
    fraction: float = FRACTION,
    progress: Progress | None = None,
) -> list[Negative]:
    """The NegLabel baseline's negatives: one template, plain adjectives, ranked by the 95th percentile."""
    labels = encoder.encode_labels(id_labels, NEGLABEL_NOUN_TEMPLATES)  # (P, D)
    of_nouns, of_adjectives = in_turn(
        progress, _prompts(candidates, NEGLABEL_NOUN_TEMPLATES, NEGLABEL_ADJECTIVE_TEMPLATES)
    )
    nouns = encoder.encode_labels(candidates.nouns, NEGLABEL_NOUN_TEMPLATES, of_nouns)  # (C, D)
    adjectives = encoder.encode_labels(candidates.adjectives, NEGLABEL_ADJECTIVE_TEMPLATES, of_adjectives)
    return _least_similar("noun", candidates.nouns, nouns, labels, fraction, NEGLABEL_PERCENTILE) + _least_similar(
        "adjective", candidates.adjectives, adjectives, labels, fraction, NEGLABEL_PERCENTILE
    )


def prompts(candidates: Candidates, noun_templates: Sequence[str] = NOUN_TEMPLATES) -> tuple[int, int]:
    """How many prompts mining the negatives embeds, and mining those of the NegLabel baseline."""
    own = _prompts(candidates, noun_templates, ADJECTIVE_TEMPLATES)
    return sum(own), sum(_prompts(candidates, NEGLABEL_NOUN_TEMPLATES, NEGLABEL_ADJECTIVE_TEMPLATES))


def _prompts(
    candidates: Candidates, noun_templates: Sequence[str], adjective_templates: Sequence[str]
) -> tuple[int, int]:
    """Those of the nouns and of the adjectives."""
    return len(candidates.nouns) * len(noun_templates), len(candidates.adjectives) * len(adjective_templates)


def _least_similar(
    pos: PartOfSpeech,
    words: Sequence[str],
    features: Tensor,
    id_features: Tensor,
    fraction: float,
    percentile: float | None = None,
) -> list[Negative]:
    if not 0 < fraction <= 1:
        raise NegRefineError(f"the mined fraction must be above 0 and at most 1, not {fraction}")
    similarity = candidate_similarity(features, id_features, percentile)  # (C,)
    count = int(fraction * len(words))
    nearest_last = torch.argsort(similarity, stable=True)[:count]  # (count,)
    return [Negative(words[i], pos, float(similarity[i])) for i in nearest_last.tolist()]


def candidate_similarity(features: Tensor, id_features: Tensor, percentile: float | None = None) -> Tensor:
    """(C,) highest cosine, or the given percentile of the cosines, of candidates (C, D) with ID labels (P, D)."""
    chunks = []
    size = max(1, SIMILARITIES // len(id_features))
    for chunk in torch.split(features, size) if len(features) else ():
        cosine = chunk @ id_features.T  # (c, P)
        chunks.append(cosine.amax(1) if percentile is None else torch.quantile(cosine, percentile, dim=1))  # (c,)
    return torch.cat(chunks) if chunks else torch.empty(0)
