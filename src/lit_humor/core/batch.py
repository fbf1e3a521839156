"""The batch contract: what the data plane hands to models and objectives.

Legend: B rows of the batch, T tokens of its longest row (rounded up), S slice columns.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:  # what only reads run folders need not wait for torch
    from torch import Tensor

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)
SLICE_COLUMNS = ("language", "genre", "part")  # results are told by each of their values

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Batch(TypedDict):
    """Tensors of one micro-batch, all on the device of the model."""

    input_ids: Tensor  # [B, T] int64, padded on the right with the tokenizer's pad id
    attention_mask: Tensor  # [B, T] int64, 1 on tokens and 0 on padding
    token_type_ids: NotRequired[Tensor]  # [B, T] int64, only where the model has token types
    labels: Tensor  # [B] int64, class index
    row_weights: Tensor  # [B] float32, 1 for a row that counts and 0 for a filler
    rows: Tensor  # [B] int64, position of the row in its split
    slices: Tensor  # [B, S] int64, code of the row's language, genre, ...; -1 where unknown


def passes(batch: Batch, max_tokens: int | None) -> list[Batch]:
    """Cut a batch into parts that a model can take one after the other, in order, of rows as equal in number as can be.

    Args:
        batch: A micro-batch.
        max_tokens: Tokens of a part at most, padding included, but never less than a row; None does not cut.

    Returns:
        Views of the batch, all of its width.
    """
    num_rows, width = batch["input_ids"].shape
    num_parts = 1 if max_tokens is None else math.ceil(num_rows / max(max_tokens // width, 1))
    size = math.ceil(num_rows / num_parts)
    pieces: dict[str, Any] = {name: value.split(size) for name, value in batch.items()}  # type: ignore[attr-defined]
    return [dict(zip(pieces, part, strict=True)) for part in zip(*pieces.values(), strict=True)]  # type: ignore[misc]
