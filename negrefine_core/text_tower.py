"""CLIP's text tower over a tree of token prefixes: each distinct prefix is computed once, and no padding at all.

CLIP's text tower is causal: what a token computes depends on the tokens before it alone, and the text's feature is
read at the end-of-text token. So texts that begin alike ("a photo of the nice tiger and ...") share that part's
computation exactly, and what follows the end-of-text token can be left out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK = 64  # nodes that attend together
PIECE = 1024  # nodes whose hidden layer is computed together on a CPU: it stays in the processor's cache


@dataclass(frozen=True)
class PrefixTree:
    """The distinct token prefixes of N texts as M nodes, each before those that go on from it (depth first).

    So the nodes below node i are those from i + 1 to `below[i]`, without it, and nodes that follow each other have the
    same nodes above them, but for those among themselves: they attend together. M is a multiple of BLOCK; the last
    nodes may serve no text.
    """

    tokens: Tensor  # (M,)
    depths: Tensor  # (M,)
    below: Tensor  # (M,)
    above: Tensor  # (M / BLOCK, A) the nodes above each block's first, from the root on; the rest is M
    ends: Tensor  # (N,) each text's last node
    rows: Tensor  # (N, W) the texts' tokens
    lengths: Tensor  # (N,)

    def halves(self) -> "list[PrefixTree]":
        """The trees of one half of the texts and of the other; one tree of a single text."""
        return [prefix_tree(*half) for half in zip(self.rows.chunk(2), self.lengths.chunk(2), strict=True)]


def prefix_tree(tokens: Tensor, lengths: Tensor) -> PrefixTree:
    """The tree of token rows (N, W), of which the first `lengths` (N,) tokens count."""
    order = _sorted(tokens.numpy())  # (N,)
    rows, counts = tokens.numpy().take(order, axis=0), lengths.numpy()[order]  # (N, W), (N,)
    counted = np.arange(rows.shape[1]) < counts[:, None]  # (N, W)
    is_new = counted.copy()  # (N, W): not the node of the row before
    alike = (rows[1:] == rows[:-1]) & counted[:-1]  # (N - 1, W)
    is_new[1:] &= ~np.logical_and.accumulate(alike, axis=1)
    place = np.flatnonzero(is_new)  # (m,)
    row, depth = np.divmod(place, rows.shape[1])  # (m,), (m,)
    nodes = len(row)
    path = np.zeros(rows.shape, dtype=np.int64)  # (N, W) each row's nodes
    path.ravel()[place] = np.arange(nodes)
    np.maximum.accumulate(path, axis=0, out=path)
    texts = np.bincount(path[counted], minlength=nodes)  # (m,) rows that pass through a node
    first = np.append(0, is_new.sum(axis=1).cumsum())  # (N + 1,) each row's first new node
    padded = -nodes % BLOCK  # nodes that are nobody's
    ends = np.empty(len(rows), dtype=np.int64)
    ends[order] = path[np.arange(len(rows)), counts - 1]
    starts = np.arange(0, nodes, BLOCK)  # (G,)
    above = path[row[starts], : depth[starts].max(initial=0)]  # (G, A)
    above[np.arange(above.shape[1]) >= depth[starts, None]] = nodes + padded
    return PrefixTree(
        tokens=torch.from_numpy(np.pad(rows.take(place), (0, padded))),
        depths=torch.from_numpy(np.pad(depth, (0, padded))),
        below=torch.from_numpy(np.append(first[row + texts], np.arange(nodes, nodes + padded) + 1)),
        above=torch.from_numpy(above),
        ends=torch.from_numpy(ends),
        rows=tokens,
        lengths=lengths,
    )


def _sorted(rows: np.ndarray) -> np.ndarray:
    """(N,) the order in which rows (N, W) that begin alike stand together."""
    width = -(-rows.shape[1] // 3) * 3
    columns = np.zeros((len(rows), width), dtype=np.int64)  # (N, w)
    columns[:, : rows.shape[1]] = rows
    packed = columns[:, ::3] << 42 | columns[:, 1::3] << 21 | columns[:, 2::3]  # (N, w / 3): tokens have 21 bits
    return np.lexsort(packed.T[::-1])


def shares_prefixes(model: Any) -> Any | None:
    """The model's text tower if the tree gives exactly its features, else None.

    That is a causal tower of CLIP's standard blocks which reads the end-of-text token and appends nothing.
    """
    from open_clip import CLIP  # here: they take seconds to import
    from open_clip.transformer import ResidualAttentionBlock

    tower = model if isinstance(model, CLIP) else getattr(model, "text", None)
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", ())
    standard = len(blocks) > 0 and all(type(block) is ResidualAttentionBlock for block in blocks)
    causal = isinstance(getattr(tower, "attn_mask", None), Tensor)
    reads_end = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None)) == "argmax"
    plain = getattr(tower, "cls_emb", None) is None and not getattr(tower, "use_pad_mask", False)
    return tower if standard and causal and reads_end and plain else None


def text_features(tower: Any, tree: PrefixTree) -> Tensor:
    """(N, D) raw features of a tree's texts, equal to open_clip's `encode_text`."""
    device, dtype = tower.positional_embedding.device, tower.transformer.get_cast_dtype()
    tokens, depths = tree.tokens.to(device), tree.depths.to(device)  # (M,), (M,)
    x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[depths].to(dtype)  # (M, W)
    attended = _attended(tree, device)
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = _mixed(block, x + block.ls_1(block.attn.out_proj(_attention(block, x, attended))))  # (M, W)
    ends, text_end = torch.unique(tree.ends.to(device), return_inverse=True)  # (E,), (N,)
    attention = _attention(last, x, attended)[ends]  # (E, W): from here on the texts' ends alone count
    x = _mixed(last, x[ends] + last.ls_1(last.attn.out_proj(attention)))  # (E, W)
    x = tower.ln_final(x)  # (E, W)
    projection = tower.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, nn.Linear) else x @ projection  # (E, D)
    features: Tensor = x[text_end]  # (N, D)
    return features


@dataclass(frozen=True)
class _Attended:
    """Which nodes each block's nodes attend to: `nodes` (G, A + BLOCK), of them those that `mask` (G, 1, BLOCK, A +
    BLOCK) leaves them."""

    nodes: Tensor
    mask: Tensor


def _attended(tree: PrefixTree, device: torch.device) -> _Attended:
    above, below = tree.above.to(device), tree.below.to(device)
    itself = torch.arange(len(below), device=device).view(-1, BLOCK)  # (G, BLOCK)
    nodes = torch.cat([above, itself], 1)  # (G, A + BLOCK)
    until = functional.pad(below, (0, 1))[nodes]  # (G, A + BLOCK): nothing attends to what stands for no node
    reader = itself[:, None, :, None]  # (G, 1, BLOCK, 1)
    mask = (nodes[:, None, None] <= reader) & (reader < until[:, None, None])  # (G, 1, BLOCK, A + BLOCK)
    return _Attended(nodes.clamp(max=len(below) - 1), mask)


def _attention(block: Any, x: Tensor, attended: _Attended) -> Tensor:
    """(M, W) what each node of x (M, W) takes from the nodes on its path, before it is projected."""
    attention = block.attn
    weight, bias, heads = attention.in_proj_weight, attention.in_proj_bias, attention.num_heads
    projected = functional.linear(block.ln_1(x), weight, bias)  # (M, 3 W)
    q, kv = projected.tensor_split([x.shape[1]], dim=1)  # (M, W), (M, 2 W)
    queries = q.view(-1, BLOCK, heads, x.shape[1] // heads).transpose(1, 2)  # (G, H, BLOCK, W / H)
    gathered = kv[attended.nodes].view(*attended.nodes.shape, 2, heads, -1)  # (G, A + BLOCK, 2, H, W / H)
    keys, values = gathered.permute(2, 0, 3, 1, 4)  # (G, H, A + BLOCK, W / H) each
    mixed = functional.scaled_dot_product_attention(queries, keys, values, attended.mask)
    return mixed.transpose(1, 2).reshape(x.shape)


def _mixed(block: Any, x: Tensor) -> Tensor:
    """(m, W) nodes after the block's second half, each by itself."""
    pieces = torch.split(x, PIECE) if x.device.type == "cpu" else [x]
    return torch.cat([piece + block.ls_2(block.mlp(block.ln_2(piece))) for piece in pieces])
