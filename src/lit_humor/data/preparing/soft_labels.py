"""What trained models say of the rows of a split, beside what the model reads. Legend: N, B rows, C classes.

Imports only NumPy and torch, since loader processes import this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lit_humor.data.preparing.preparation import Digest, Prepared

if TYPE_CHECKING:
    from lit_humor.data.preparing.changes import TextChanges


class PreparedSoftLabels(Prepared):
    """Rows as they were prepared, with a probability of each class in place of one label.

    Args:
        prepared: The rows.
        soft_labels: [N, C] float32; a row that is changed in training keeps those of its own text.
    """

    def __init__(self, prepared: Prepared, soft_labels: np.ndarray) -> None:
        self.prepared, self.soft_labels = prepared, soft_labels

    @property
    def changes(self) -> TextChanges | None:  # type: ignore[override]
        """How training rows may be changed."""
        return self.prepared.changes

    @property
    def lengths(self) -> np.ndarray:
        """[N] int64, the tokens of each row."""
        return self.prepared.lengths

    @property
    def num_truncated(self) -> int:
        """Number of rows that were truncated."""
        return self.prepared.num_truncated

    @property
    def mean_target_tokens(self) -> float | None:
        """Mean number of target tokens of a row."""
        return self.prepared.mean_target_tokens

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the tensors of the rows, and ``soft_labels`` [B, C] float32."""
        return self._with_labels(self.prepared.collate(rows), rows)

    def collate_changed(self, rows: np.ndarray, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return the tensors of rows that are changed, and ``soft_labels`` [B, C] float32."""
        return self._with_labels(self.prepared.collate_changed(rows, seeds), rows)

    def update_digest(self, digest: Digest) -> None:
        """Add the rows and their soft labels to a hash."""
        self.prepared.update_digest(digest)
        digest.update(np.ascontiguousarray(self.soft_labels).data)

    def _with_labels(self, tensors: dict[str, Tensor], rows: np.ndarray) -> dict[str, Tensor]:
        return {**tensors, "soft_labels": torch.from_numpy(self.soft_labels[rows])}
