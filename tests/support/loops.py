"""The scores as naive loops over one image, in the published code's shape, to check vectorised code against."""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize


def loop_neglabel(pos: Tensor, neg: Tensor, n_groups: int, permutation: Tensor) -> float:
    """NegLabel: shuffle, split, a softmax a group, the mean."""
    pos, shuffled = pos.double(), neg.double()[permutation]
    groups = n_groups if len(neg) >= n_groups else 1
    size = len(shuffled) // groups
    total = 0.0
    for g in range(groups):
        logits = torch.cat([pos, shuffled[g * size : (g + 1) * size]])
        total += float(torch.softmax(logits, 0)[: len(pos)].sum())
    return total / groups


def loop_multi_matching(image: Tensor, ids: Tensor, negatives: Tensor, top_k: int = 5) -> float:
    """Multi-matching; a pair's feature is the normalised sum of its labels', as in the golden figures."""
    pos, neg = 100 * ids @ image, 100 * negatives @ image
    best = 0.0
    for i in pos.argsort(descending=True)[:top_k]:
        for j in neg.argsort(descending=True)[:top_k]:
            pair = 100 * float(normalize(ids[i] + negatives[j], dim=0) @ image)
            best = max(best, 1 / (1 + math.exp(float(neg[j]) - pair)))
    return best
