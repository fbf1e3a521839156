"""What is recorded of rows with pictures, whatever their tasks. Legend: B rows of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lit_humor.data.pictures.store import keys_of

if TYPE_CHECKING:
    from torch import Tensor

PICTURE, GATE = "picture", "gate"


def pictured_columns(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return columns of ``predictions/<split>.parquet`` that no task owns.

    Args:
        outputs: Outputs of the objective for these rows, on the CPU.
        batch: The rows, on the CPU.

    Returns:
        ``picture`` [B] int64, its key (``PictureStore.keys``), where rows have one; ``gate`` [B] float32, the mean
        share of the first of two encoders, where the network gives it.
    """
    columns: dict[str, Any] = {}
    if "pictures" in batch:
        columns[PICTURE] = keys_of(batch["pictures"].numpy())
    if GATE in outputs:
        columns[GATE] = outputs[GATE].float().numpy()
    return columns
