"""Packs rows without padding, so that no layer computes it.

Legend: B rows, T width, N real tokens, H heads, E = D / H.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface

from lit_humor.models.attention import matmul_attention

PACKED = "packed"


class Packing(NamedTuple):
    """Positions of the real tokens of a batch that is padded on the right.

    Attributes:
        indices: [N] index of each token in the flattened batch, 0 to B T - 1.
        offsets: [B + 1] start of each row among the N tokens, and N.
        mask: [B, T] bool, True for tokens.
    """

    indices: Tensor
    offsets: Tensor
    mask: Tensor

    @classmethod
    def of(cls, attention_mask: Tensor) -> Packing:
        """Return the packing of a mask [B, T]; on a GPU this synchronises with the device, once per forward pass."""
        indices = attention_mask.flatten().nonzero().squeeze(1)
        return cls(indices, F.pad(attention_mask.sum(dim=1).cumsum(dim=0), (1, 0)), attention_mask.bool())

    @property
    def columns(self) -> Tensor:
        """[1, N] position of each token in its row."""
        return (self.indices % self.mask.shape[1]).unsqueeze(0)

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, ...] -> [1, N, ...]."""
        return padded.flatten(0, 1)[self.indices].unsqueeze(0)

    def pad(self, packed: Tensor) -> Tensor:
        """[1, N, ...] -> [B, T, ...], zero on padding."""
        padded = packed.new_zeros(self.mask.numel(), *packed.shape[2:])
        return padded.index_copy(0, self.indices, packed[0]).unflatten(0, self.mask.shape)


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
    """Compute softmax attention within each of the packed rows.

    Source: Krell et al. 2021, Efficient Sequence Packing without Cross-contamination; Dao 2023, FlashAttention-2 (its
    kernels for rows of different lengths, used by torch's jagged tensors). Cost: a CPU has no such kernel, so attention
    alone pads its rows, with three copies per layer; packing pays if batches have much padding.
    Alternatives: batches of rows of similar length (``data.length_grouped``) have little padding.

    Args:
        module: The layer; not used.
        query: [1, H, N, E], or [1, H, B, E] for only the first token of each row.
        key: [1, H, N, E].
        value: [1, H, N, E].
        attention_mask: None.
        packing: Positions of the tokens.
        scaling: Factor of the scores; None means 1 / sqrt(E).
        dropout: Share of the attention weights to drop.
        kwargs: Arguments of other backends; not used.

    Returns:
        [1, N or B, H, E], and None in place of the weights.
    """
    attend = attend_padded if query.device.type == "cpu" else attend_jagged
    return attend(query, key, value, packing, scaling, dropout), None


def attend_padded(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float | None, dropout: float
) -> Tensor:
    """See ``packed_attention``; pads the rows only for the matrix products."""
    is_full_layer = query.shape[2] == key.shape[2]
    keys, values = (packing.pad(states.transpose(1, 2)).transpose(1, 2) for states in (key, value))
    queries = packing.pad(query.transpose(1, 2)).transpose(1, 2) if is_full_layer else query.permute(2, 1, 0, 3)
    mask = packing.mask[:, None, None]
    context, _ = matmul_attention(nn.Identity(), queries, keys, values, mask, scaling, dropout)
    return packing.pack(context) if is_full_layer else context.transpose(0, 1)


def attend_jagged(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float | None, dropout: float
) -> Tensor:
    """See ``packed_attention``; uses a GPU's kernels for rows of different lengths."""

    def jagged(tokens: Tensor, offsets: Tensor, width: int) -> Tensor:
        values = tokens[0].transpose(0, 1).contiguous()  # no copy for the output of a layer
        return torch.nested.nested_tensor_from_jagged(values, offsets, min_seqlen=1, max_seqlen=width).transpose(1, 2)

    width = packing.mask.shape[1]
    query_offsets, max_queries = packing.offsets, width
    if query.shape[2] != key.shape[2]:
        query_offsets, max_queries = torch.arange(len(packing.offsets), device=query.device), 1
    keys, values = (jagged(states, packing.offsets, width) for states in (key, value))
    queries = jagged(query, query_offsets, max_queries)
    context = F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, scale=scaling)
    return context.transpose(1, 2).values().unsqueeze(0)


AttentionInterface.register(PACKED, packed_attention)


def encode_packed(encoder: nn.Module, inputs: dict[str, Tensor], first_position: int, is_short: bool) -> Tensor:
    """Return hidden states [B, T, D] of an encoder without computing padding; [B, 1, D] with a short last layer.

    Args:
        encoder: A transformers encoder with this module's attention.
        inputs: [B, T] each, ``attention_mask`` among them.
        first_position: Position of the first token in the encoder; see ``pretrained.first_position``.
        is_short: Whether the last layer computes only the first token.
    """
    packing = Packing.of(inputs.pop("attention_mask"))
    packed = {name: packing.pack(value) for name, value in inputs.items()}
    hidden = encoder(**packed, position_ids=packing.columns + first_position, packing=packing).last_hidden_state
    return hidden if is_short else packing.pad(hidden)
