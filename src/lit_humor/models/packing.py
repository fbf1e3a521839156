"""Rows laid end to end: no layer computes padding. Legend: B rows, T width, N real tokens, H heads, E = D / H."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface

from lit_humor.models.attention import matmul_attention

PACKED = "packed"


class Packing(NamedTuple):
    """Where the real tokens of a batch that is padded on the right are.

    Attributes:
        places: [N] place of each among the B T of the batch.
        offsets: [B + 1] where each row starts, and N.
        mask: [B, T] bool, True on tokens.
    """

    places: Tensor
    offsets: Tensor
    mask: Tensor

    @classmethod
    def of(cls, attention_mask: Tensor) -> Packing:
        """Read it off a mask [B, T]; on a GPU this waits for the device, once a pass."""
        places = attention_mask.flatten().nonzero().squeeze(1)
        return cls(places, F.pad(attention_mask.sum(dim=1).cumsum(dim=0), (1, 0)), attention_mask.bool())

    @property
    def columns(self) -> Tensor:
        """[1, N] place of each token within its row."""
        return (self.places % self.mask.shape[1]).unsqueeze(0)

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, ...] -> [1, N, ...]."""
        return padded.flatten(0, 1)[self.places].unsqueeze(0)

    def pad(self, packed: Tensor) -> Tensor:
        """[1, N, ...] -> [B, T, ...], zero where there is no token."""
        padded = packed.new_zeros(self.mask.numel(), *packed.shape[2:])
        return padded.index_copy(0, self.places, packed[0]).unflatten(0, self.mask.shape)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Softmax attention within each of the rows that lie end to end.

    Source: Krell et al. 2021, Efficient Sequence Packing without Cross-contamination; Dao 2023, FlashAttention-2 (its
    kernels for rows of different lengths, behind torch's jagged tensors). Price: on a CPU, which has no such kernel,
    attention alone pads its rows, and three copies a layer go there and back; pays where batches hold much padding.
    Neighbours: rows of like length in a batch (``data.length_grouped``) leave little padding to begin with.

    Args:
        module: The layer; not used.
        query: [1, H, N, E], or [1, H, B, E] for the first token of each row alone.
        key: [1, H, N, E].
        value: [1, H, N, E].
        attention_mask: None.
        packing: Where the rows are.
        scaling: Factor of the scores; None takes 1 / sqrt(E).
        dropout: Share of the attention weights to drop.
        kwargs: What other backends take.

    Returns:
        [1, N or B, H, E], and None in place of the weights.
    """
    attend = attend_padded if query.device.type == "cpu" else attend_jagged
    return attend(query, key, value, packing, scaling, dropout), None


def attend_padded(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float | None, dropout: float
) -> Tensor:
    """See ``packed_attention``; pads for the products alone."""
    is_whole = query.shape[2] == key.shape[2]
    keys, values = (packing.pad(one.transpose(1, 2)).transpose(1, 2) for one in (key, value))
    queries = packing.pad(query.transpose(1, 2)).transpose(1, 2) if is_whole else query.permute(2, 1, 0, 3)
    mask = packing.mask[:, None, None]
    context, _ = matmul_attention(nn.Identity(), queries, keys, values, mask, scaling, dropout)
    return packing.pack(context) if is_whole else context.transpose(0, 1)


def attend_jagged(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float | None, dropout: float
) -> Tensor:
    """See ``packed_attention``; with the kernels for rows of different lengths that a GPU has."""

    def jagged(tokens: Tensor, offsets: Tensor, width: int) -> Tensor:
        values = tokens[0].transpose(0, 1).contiguous()  # as they come from a layer they are
        return torch.nested.nested_tensor_from_jagged(values, offsets, min_seqlen=1, max_seqlen=width).transpose(1, 2)

    width = packing.mask.shape[1]
    queries_at, most = packing.offsets, width
    if query.shape[2] != key.shape[2]:
        queries_at, most = torch.arange(len(packing.offsets), device=query.device), 1
    keys, values = (jagged(one, packing.offsets, width) for one in (key, value))
    queries = jagged(query, queries_at, most)
    context = F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, scale=scaling)
    return context.transpose(1, 2).values().unsqueeze(0)


AttentionInterface.register(PACKED, packed_attention)
