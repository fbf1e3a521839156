"""The batch contract: the tensors that the data modules give to models and objectives.

Legend: B rows of the batch, T tokens of its longest row (rounded up), S slice columns.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:  # commands that only read run folders must not import torch
    from torch import Tensor

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)
PROBABILITY = "p_"  # columns of predictions: this and the name of a class
SLICE_COLUMNS = ("language", "genre", "part")  # results are reported for each of their values

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Batch(TypedDict):
    """Tensors of one micro-batch, all on the device of the model."""

    input_ids: Tensor  # [B, T] int64, padded on the right with the tokenizer's pad id
    attention_mask: Tensor  # [B, T] int64, 1 on tokens and 0 on padding
    token_type_ids: NotRequired[Tensor]  # [B, T] int64, only where the model has token types
    labels: Tensor  # [B] int64, class index; zeros where rows have no classes
    targets: NotRequired[Tensor]  # [B] float32, number to predict, only where the data has some
    row_weights: Tensor  # [B] float32, 1 for a real row and 0 for a padding row
    rows: Tensor  # [B] int64, position of the row in its split
    slices: Tensor  # [B, S] int64, code of the row's language, genre, ...; -1 where unknown


def chunks(batch: Batch, max_tokens: int | None) -> list[Batch]:
    """Split a micro-batch into chunks of consecutive rows, with about the same number of rows each.

    Args:
        batch: A micro-batch.
        max_tokens: Most tokens of a chunk, padding included, but at least one row; None makes one chunk.

    Returns:
        Views of the batch, in order, all with its width.
    """
    num_rows, width = batch["input_ids"].shape
    num_chunks = 1 if max_tokens is None else math.ceil(num_rows / max(max_tokens // width, 1))
    rows_per_chunk = math.ceil(num_rows / num_chunks)
    tensors: dict[str, Any] = {name: value.split(rows_per_chunk) for name, value in batch.items()}  # type: ignore[attr-defined]
    return [dict(zip(tensors, chunk, strict=True)) for chunk in zip(*tensors.values(), strict=True)]  # type: ignore[misc]
