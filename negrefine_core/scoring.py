"""The scores, as pure functions of tensors (paper, section 4.2): NegLabel, multi-matching, NegRefine, MCM.

Similarities ("logits") are 100 x cosine. Shapes: B images, P ID labels, N negatives, G groups. Higher = more ID.
`methods` lists which of them a run is scored with. Importing them does not import torch, which takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import NegRefineError
from .hyperparameters import ALPHA as ALPHA
from .hyperparameters import MCM_TEMPERATURE as MCM_TEMPERATURE
from .hyperparameters import N_GROUPS as N_GROUPS
from .hyperparameters import TOP_K as TOP_K

if TYPE_CHECKING:
    from torch import Tensor

LOGIT_SCALE = 100.0


def similarity(features: Tensor, label_features: Tensor) -> Tensor:
    """(B, L) logits, 100 x cosine, of L2-normalised features (B, D) and (L, D)."""
    return LOGIT_SCALE * features @ label_features.T


def group_permutation(n_negatives: int, n_groups: int = N_GROUPS, seed: int = 0) -> Tensor:
    """The fixed permutation of the grouped negatives: all but the last N mod G. Made on the CPU, alike everywhere.

    With fewer negatives than groups there is one group that holds them all, which is the score without grouping.
    """
    import torch

    if n_negatives < 1:
        raise NegRefineError("no negative labels are left to score with; keep or restore at least one")
    grouped = n_negatives - n_negatives % n_groups if n_negatives >= n_groups else n_negatives
    return torch.randperm(grouped, generator=torch.Generator().manual_seed(seed))


def neglabel_score(
    pos_sim: Tensor, neg_sim: Tensor, n_groups: int = N_GROUPS, permutation: Tensor | None = None
) -> Tensor:
    """(B,) softmax mass on the ID labels, averaged over groups of negatives, in [0, 1].

    Args:
        pos_sim: (B, P) logits with the ID labels.
        neg_sim: (B, N) logits with the negatives.
        permutation: from `group_permutation`, which is also the default.
    """
    n_negatives = neg_sim.shape[1]
    permutation = group_permutation(n_negatives, n_groups) if permutation is None else permutation
    groups = n_groups if n_negatives >= n_groups else 1
    size = len(permutation) // groups
    grouped = neg_sim.index_select(1, permutation.to(neg_sim.device))  # (B, G x N // G)
    grouped = grouped.view(len(neg_sim), groups, size)  # (B, G, N // G)
    positive = pos_sim.logsumexp(1, keepdim=True)  # (B, 1)
    return (positive - grouped.logsumexp(2)).sigmoid().mean(1)  # (B, G) -> (B,)


def multi_matching_score(pair_sim: Tensor, neg_sim: Tensor) -> Tensor:
    """(B,) the best of sigmoid(sim(image, "id and negative") - sim(image, negative)), in [0, 1].

    Args:
        pair_sim: (B, K, M) logits with the texts of the top K ID labels and top M negatives.
        neg_sim: (B, M) logits with those negatives.
    """
    return (pair_sim - neg_sim.unsqueeze(1)).sigmoid().flatten(1).amax(1)  # (B, K, M) -> (B,)


def negrefine_score(neglabel: Tensor, multi_matching: Tensor, alpha: float = ALPHA) -> Tensor:
    """(B,) NegLabel + alpha x multi-matching: in [0, 3] with the paper's alpha."""
    return neglabel + alpha * multi_matching


def mcm_score(pos_sim: Tensor, temperature: float = MCM_TEMPERATURE) -> Tensor:
    """(B,) maximum softmax probability over the ID labels, of cosine / temperature (MCM)."""
    return (pos_sim / LOGIT_SCALE / temperature).softmax(1).amax(1)  # (B, P) -> (B,)


def max_logit_score(pos_sim: Tensor) -> Tensor:
    """(B,) highest logit of an ID label (MaxLogit)."""
    return pos_sim.amax(1)  # (B, P) -> (B,)


def energy_score(pos_sim: Tensor) -> Tensor:
    """(B,) logsumexp of the logits of the ID labels: the negative of their free energy (Energy)."""
    return pos_sim.logsumexp(1)  # (B, P) -> (B,)


def few_labels(n_id_labels: int, n_negatives: int, n_groups: int = N_GROUPS, top_k: int = TOP_K) -> list[str]:
    """What the scores do differently because there are few labels, a phrase each; none where there are enough."""
    negatives = f"{n_negatives} negative{'s' * (n_negatives != 1)}"
    id_labels = f"{n_id_labels} ID label{'s' * (n_id_labels != 1)}"
    notes = []
    if n_negatives < n_groups:
        notes.append(f"{negatives}, fewer than {n_groups} groups: scored as one group")
    for labels, count in ((id_labels, n_id_labels), (negatives, n_negatives)):
        if count < top_k:
            notes.append(f"{labels}, fewer than {top_k}: multi-matching pairs all of them")
    if n_id_labels == 1:
        notes.append("1 ID label: MCM compares ID labels with each other and gives every image the same score")
    return notes


def top_labels(sim: Tensor, k: int = TOP_K) -> tuple[Tensor, Tensor]:
    """(B, k) logits and indices of the k most similar labels, best first; k is cut to the number of labels."""
    top = sim.topk(min(k, sim.shape[1]), dim=1)
    return top.values, top.indices
