"""Inputs of networks that read texts. Legend: B rows of the batch, T tokens of its longest row (rounded up)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired

from torch import Tensor

from lit_humor.core.batch import Batch

TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class TextBatch(Batch):
    """A micro-batch of texts; ``PreparedTexts`` makes its tensors."""

    input_ids: Tensor  # [B, T] int64, padded on the right with the tokenizer's pad id
    attention_mask: Tensor  # [B, T] int64, 1 on tokens and 0 on padding
    token_type_ids: NotRequired[Tensor]  # [B, T] int64, only where the model has token types


def text_inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a ``TextBatch`` that a transformers encoder takes."""
    return {name: batch[name] for name in TEXT_INPUTS if name in batch}
