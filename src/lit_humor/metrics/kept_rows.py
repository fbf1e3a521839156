"""Numbers of rows, kept until the end and then gathered from all processes. Legend: B rows of a batch, N of a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric


class KeptRows(Metric):
    """Columns of numbers, of the rows of all processes at the end; one that was dealt no rows gathers with the others.

    Columns are kept flat: then a process without rows need not know how wide they are.

    Args:
        dtypes: Names of the columns with their dtypes.
        options: Of torchmetrics' ``Metric``.
    """

    full_state_update = False

    def __init__(self, dtypes: Mapping[str, torch.dtype], **options: Any) -> None:
        super().__init__(**options)
        self.dtypes = dict(dtypes)
        for name in self.dtypes:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, **columns: Tensor) -> None:
        """Add all columns of a batch, each [B, *]."""
        for name, dtype in self.dtypes.items():
            getattr(self, name).append(columns[name].detach().to(self.device, dtype).flatten())

    def compute(self) -> dict[str, Tensor]:
        """The flat columns."""
        return {name: self._joined(name) for name in self.dtypes}

    def _joined(self, name: str) -> Tensor:
        parts = getattr(self, name)  # a tensor once it was gathered
        return torch.cat(parts) if isinstance(parts, list) else parts

    def gathered(self) -> dict[str, np.ndarray]:
        """The columns of all rows, process after process, each of them flat: [N * width]."""
        for name, dtype in self.dtypes.items():
            if not getattr(self, name):
                getattr(self, name).append(torch.zeros(0, dtype=dtype, device=self.device))
        # torchmetrics makes a number of [1]
        return {name: values.reshape(-1).cpu().numpy() for name, values in self.compute().items()}
