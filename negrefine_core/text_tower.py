"""CLIP's text tower over a tree of token prefixes: each distinct prefix is computed once, and no padding at all.

CLIP's text tower is causal: what a token computes depends on the tokens before it alone, and the text's feature is
read at the end-of-text token. So texts that begin alike ("a photo of the nice tiger and ...") share that part's
computation exactly, and what follows the end-of-text token can be left out.
"""

from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Level:
    """Tree nodes at one depth: `nodes` (m,) and, for each, the nodes from the root to itself, `path` (m, depth + 1)."""

    nodes: Tensor
    path: Tensor


@dataclass(frozen=True)
class PrefixTree:
    """The distinct token prefixes of N texts as M nodes, numbered by depth; `ends[n]` is text n's last node."""

    tokens: Tensor  # (M,)
    levels: tuple[Level, ...]
    ends: Tensor  # (N,)


def prefix_tree(tokens: Tensor, lengths: Tensor) -> PrefixTree:
    """The tree of token rows (N, L), of which the first `lengths` (N,) tokens count."""
    vocabulary = int(tokens.max()) + 1
    node_tokens: list[Tensor] = []
    levels: list[Level] = []
    first = 0  # the number of the first node at this depth
    ends = torch.zeros(len(tokens), dtype=torch.long)
    rows, above = torch.arange(len(tokens)), torch.zeros(len(tokens), dtype=torch.long)  # texts still going on
    for depth in range(int(lengths.max())):
        going_on = lengths[rows] > depth
        rows, above = rows[going_on], above[going_on]
        keys, node = torch.unique(above * vocabulary + tokens[rows, depth], return_inverse=True)  # (m,), (n,)
        parent = keys // vocabulary  # (m,) place in the level above
        nodes = torch.arange(first, first + len(keys))
        path = torch.cat([levels[-1].path[parent], nodes[:, None]], 1) if levels else nodes[:, None]  # (m, depth + 1)
        node_tokens.append(keys % vocabulary)
        levels.append(Level(nodes, path))
        ends[rows] = first + node
        first, above = first + len(keys), node
    return PrefixTree(torch.cat(node_tokens), tuple(levels), ends)


def shares_prefixes(model: Any) -> Any | None:
    """The model's text tower if the tree gives exactly its features, else None.

    That is a causal tower of CLIP's standard blocks which reads the end-of-text token and appends nothing.
    """
    tower = model if isinstance(model, open_clip.CLIP) else getattr(model, "text", None)
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", ())
    standard = len(blocks) > 0 and all(type(block) is ResidualAttentionBlock for block in blocks)
    causal = isinstance(getattr(tower, "attn_mask", None), Tensor)
    reads_end = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None)) == "argmax"
    plain = getattr(tower, "cls_emb", None) is None and not getattr(tower, "use_pad_mask", False)
    return tower if standard and causal and reads_end and plain else None


def text_features(tower: Any, tokens: Tensor) -> Tensor:
    """(N, D) raw features of token rows (N, context), equal to open_clip's `encode_text`."""
    device, dtype = tower.positional_embedding.device, tower.transformer.get_cast_dtype()
    tree = prefix_tree(tokens, tokens.argmax(1) + 1)  # the end-of-text token has the highest number
    levels = [Level(level.nodes.to(device), level.path.to(device)) for level in tree.levels]
    depth = torch.cat([torch.full_like(level.nodes, i) for i, level in enumerate(levels)])  # (M,)
    x = tower.token_embedding(tree.tokens.to(device)).to(dtype) + tower.positional_embedding[depth].to(dtype)  # (M, W)
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = _block(block, x, levels)  # (M, W)
    ends, text_end = torch.unique(tree.ends, return_inverse=True)  # (E,), (N,)
    x = _block(last, x, _only(levels, ends.to(device)))  # (E, W): the last block serves the texts' ends alone
    x = tower.ln_final(x)  # (E, W)
    projection = tower.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, nn.Linear) else x @ projection  # (E, D)
    features: Tensor = x[text_end.to(device)]  # (N, D)
    return features


def _only(levels: list[Level], nodes: Tensor) -> list[Level]:
    """The levels cut to the given nodes (ascending)."""
    kept = [(level, torch.isin(level.nodes, nodes)) for level in levels]
    return [Level(level.nodes[keep], level.path[keep]) for level, keep in kept if keep.any()]


def _block(block: Any, x: Tensor, levels: list[Level]) -> Tensor:
    """open_clip's ResidualAttentionBlock for the levels' nodes (m, W), each attending to its path in x (M, W)."""
    attention = block.attn
    q, k, v = functional.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=1)
    attended = torch.cat([_attend(q[level.nodes], k, v, level.path, attention.num_heads) for level in levels])  # (m, W)
    x = x[torch.cat([level.nodes for level in levels])] + block.ls_1(attention.out_proj(attended))  # (m, W)
    mixed: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return mixed


def _attend(q: Tensor, k: Tensor, v: Tensor, path: Tensor, heads: int) -> Tensor:
    """(m, W) attention of queries (m, W) to the keys and values (M, W) on their paths (m, depth)."""
    keys = k[path].unflatten(2, (heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call] # (m, H, depth, W / H)
    values = v[path].unflatten(2, (heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
    queries = q.unflatten(1, (heads, -1)).unsqueeze(2)  # type: ignore[no-untyped-call] # (m, H, 1, W / H)
    return functional.scaled_dot_product_attention(queries, keys, values).flatten(1)
