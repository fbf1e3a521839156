"""The batch contract: the tensors that data modules give to models and objectives, and what a row of them costs.

Legend: B rows of the batch, S slice columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:  # commands that only read run folders must not import torch
    from torch import Tensor

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)
PROBABILITY = "p_"  # columns of predictions: this and the name of a class
SLICE_COLUMNS = ("language", "genre", "part", "stage", "question_type")  # results are reported for each of their values

_TOKENS, _BESIDE_TOKENS = "_ids", ("token_type_ids",)  # names of tensors of tokens, and of what only describes these


class Batch(TypedDict):
    """What every micro-batch holds, all on the device of the model.

    Beside it stands what the model reads, in a typed dict of each kind of model (``TextBatch``). The first dimension of
    every tensor is rows, so that batches are cut, filled up and joined without knowing what is in them.
    """

    labels: Tensor  # [B] int64, class index; zeros where rows have no classes
    targets: NotRequired[Tensor]  # [B] float32, number to predict, only where the data has some
    row_weights: Tensor  # [B] float32, 1 (or the weight of the row) and 0 for a padding row
    rows: Tensor  # [B] int64, position of the row in its split
    slices: Tensor  # [B, S] int64, code of the row's language, genre, ...; -1 where unknown


def row_tokens(batch: Batch) -> int:
    """Tokens that each row of a batch costs, padding included: the places in all tensors that are named ``*_ids``.

    What else a row costs in proportion, such as patches of a picture, has its places among them.
    """
    shapes: list[Sequence[int]] = [
        value.shape  # type: ignore[attr-defined]
        for name, value in batch.items()
        if name.endswith(_TOKENS) and name not in _BESIDE_TOKENS
    ]
    return sum(math.prod(shape[1:]) for shape in shapes)


def chunks(batch: Batch, max_tokens: int | None) -> list[Batch]:
    """Split a micro-batch into chunks of consecutive rows, with about the same number of rows each.

    Args:
        batch: A micro-batch.
        max_tokens: Most tokens of a chunk, padding included, but at least one row; None makes one chunk.

    Returns:
        Views of the batch, in order; a row of each costs what a row of the batch does.
    """
    num_rows = len(batch["row_weights"])
    num_chunks = 1 if max_tokens is None else math.ceil(num_rows / max(max_tokens // max(row_tokens(batch), 1), 1))
    rows_per_chunk = math.ceil(num_rows / num_chunks)
    tensors: dict[str, Any] = {name: value.split(rows_per_chunk) for name, value in batch.items()}  # type: ignore[attr-defined]
    return [dict(zip(tensors, chunk, strict=True)) for chunk in zip(*tensors.values(), strict=True)]  # type: ignore[misc]
