"""The metrics contract of a task: rows in, batch by batch, plain numbers out. Legend: B rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class TaskMetrics(nn.Module, ABC):
    """All numbers of one task in one stage, exact under several processes."""

    @abstractmethod
    def update(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], counts: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: What the objective gave beside its losses.
            batch: The rows.
            counts: [B] bool, False for padding rows, which are left out.
        """

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """Every number over the rows of all processes: floats are logged; ``rows`` and ``slices`` are there, too."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all rows."""
