"""Pools the vectors of tokens to one vector per text. Legend: B rows, T tokens, D hidden size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from lit_humor.core.errors import UserError

Pooling = Callable[[Tensor, Tensor], Tensor]


def first_token(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the vector of the first token (``<s>``, ``[CLS]``): [B, T, D] -> [B, D]."""
    return hidden[:, 0]


def mean_of_tokens(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean over real tokens, without padding: [B, T, D], [B, T] -> [B, D]."""
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def last_token(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the vector of the last real token, on whichever side the padding is: [B, T, D], [B, T] -> [B, D]."""
    columns = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    last = (columns * attention_mask).argmax(dim=1)
    index = last[:, None, None].expand(-1, 1, hidden.shape[2])
    return hidden.gather(1, index).squeeze(1)


POOLINGS: dict[str, Pooling] = {"first": first_token, "mean": mean_of_tokens, "last": last_token}


def pooling_for(name: str, backbone: PreTrainedModel) -> Pooling:
    """Return a pooling by name.

    Raises:
        UserError: The encoder is a causal decoder, and its first token is to be pooled.
    """
    if name == "first" and is_causal(backbone):
        raise UserError(
            "model.network.pooling",
            found=f"first, but in {backbone.config.model_type} a token sees only those before it, and the first none",
            expected="last, or mean",
            fix="set model.network.pooling=last",
        )
    return POOLINGS[name]


def is_causal(backbone: PreTrainedModel) -> bool:
    """Return whether each token sees only those before it."""
    told = [module.is_causal for module in backbone.modules() if hasattr(module, "is_causal")]
    if told:
        return any(told)
    kind = backbone.config.model_type  # XLNet's layers see all tokens; it is listed among decoders alone
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in (*MODEL_FOR_MASKED_LM_MAPPING_NAMES, "xlnet")
