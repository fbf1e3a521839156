"""Attention for short texts on a CPU, registered with transformers. Legend: B rows, H heads, T tokens, E = D / H."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from lit_humor.models.dropout import fast_dropout

MATMUL = "matmul"
TENSOR_MASK_BACKENDS = ("sdpa", "eager", MATMUL)  # backends whose mask is a tensor [B, 1, Q or 1, T]


def matmul_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute softmax attention by two batched matrix products, with ``fast_dropout`` on the weights.

    Source: Vaswani et al. 2017, equation 1. Cost: memory for B H T T numbers, as torch's on a CPU with dropout.
    Alternatives: ``sdpa`` on a GPU, for long texts, or without attention dropout.

    Args:
        module: The layer; not used.
        query: [B, H, Q, E].
        key: [B, H, T, E], or with fewer heads, of which each serves several queries.
        value: As ``key``.
        attention_mask: [B, 1, Q or 1, T] bool, True for tokens to attend to, or float, added to the scores; None
            attends to all.
        scaling: Factor of the scores; None means 1 / sqrt(E).
        dropout: Share of the attention weights to drop.
        kwargs: Arguments of other backends; not used.

    Returns:
        [B, Q, H, E], and None in place of the weights.
    """
    if key.shape[1] != query.shape[1]:
        key, value = (states.repeat_interleave(query.shape[1] // states.shape[1], dim=1) for states in (key, value))
    scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(-1, -2))
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = fast_dropout(scores.softmax(dim=-1), dropout)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


def matmul_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """Return the mask of ``sdpa``, also where that one leaves the causal mask to torch's attention."""
    return sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})


AttentionInterface.register(MATMUL, matmul_attention)
AttentionMaskInterface.register(MATMUL, matmul_mask)
