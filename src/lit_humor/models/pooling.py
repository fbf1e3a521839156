"""From one vector a token to one vector a text. Legend: B rows, T tokens, D hidden size."""

from __future__ import annotations

from torch import Tensor


def first_token(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """The vector of the first token (``<s>``, ``[CLS]``): [B, T, D] -> [B, D]."""
    return hidden[:, 0]


def mean_of_tokens(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """The mean over real tokens, padding left out: [B, T, D], [B, T] -> [B, D]."""
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


POOLINGS = {"first": first_token, "mean": mean_of_tokens}
