"""Pools the vectors of tokens to one vector per text. Legend: B rows, T tokens, D hidden size."""

from __future__ import annotations

from torch import Tensor


def first_token(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the vector of the first token (``<s>``, ``[CLS]``): [B, T, D] -> [B, D]."""
    return hidden[:, 0]


def mean_of_tokens(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean over real tokens, without padding: [B, T, D], [B, T] -> [B, D]."""
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


POOLINGS = {"first": first_token, "mean": mean_of_tokens}
