"""Computes the last layer for the first token only. Legend: B rows, T tokens, D hidden size."""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.models.bert.modeling_bert import eager_attention_forward

from lit_humor.models.packing import Packing

# Layers with the structure of BERT's: norm after the residual sum, no positions inside the attention.
BERT_LIKE_LAYERS = (
    "BertLayer",
    "RobertaLayer",
    "XLMRobertaLayer",
    "CamembertLayer",
    "ElectraLayer",
    "Data2VecTextLayer",
)


def keep_first_token_only(layer: nn.Module) -> bool:
    """Change the last layer of an encoder, in place, so that it computes only the first token of each row.

    First-token pooling reads nothing else of the last layer: its queries, output projection and feed-forward block are
    needed for one token of each row, its keys and values for all tokens. Results and gradients equal those of the full
    layer. This saves 10/12 of the products of one layer. Cost: gradient checkpointing does not cover this layer.

    Args:
        layer: The last layer of an encoder.

    Returns:
        Whether the layer has BERT's structure (``BERT_LIKE_LAYERS``); if not, it is not changed.
    """
    if type(layer).__name__ not in BERT_LIKE_LAYERS:
        return False
    layer.forward = MethodType(_first_token_forward, layer)
    return True


def _first_token_forward(
    layer: Any, hidden: Tensor, attention_mask: Tensor | None = None, *_: Any, packing: Packing | None = None, **__: Any
) -> Tensor:
    """[B, T, D], [B, 1, T or 1, T] -> [B, 1, D]; packed [1, N, D] -> [B, 1, D]."""
    self_attention = layer.attention.self
    first_tokens = hidden[:, :1] if packing is None else hidden[:, packing.offsets[:-1]]

    def split_heads(states: Tensor) -> Tensor:
        return states.unflatten(-1, (-1, self_attention.attention_head_size)).transpose(1, 2)

    attend = AttentionInterface().get_interface(self_attention.config._attn_implementation, eager_attention_forward)
    context, _ = attend(
        self_attention,
        split_heads(self_attention.query(first_tokens)),
        split_heads(self_attention.key(hidden)),
        split_heads(self_attention.value(hidden)),
        None if attention_mask is None else attention_mask[:, :, :1],
        dropout=self_attention.dropout.p if layer.training else 0.0,
        scaling=self_attention.scaling,
        packing=packing,
    )
    result = layer.feed_forward_chunk(layer.attention.output(context.flatten(2), first_tokens))
    return result if packing is None else result.transpose(0, 1)
