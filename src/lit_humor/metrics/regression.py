"""Metrics of numbers, exact under several processes. Legend: B rows, S slice columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection, SpearmanCorrCoef

from lit_humor.metrics.task_metrics import TaskMetrics

_LEAST = 2  # rows that can be ranked


class RegressionMetrics(TaskMetrics):
    """All metrics of one stage, updated batch by batch.

    Args:
        slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
        synced: Whether ``compute`` adds up the rows of all processes, which then all have to call it.
    """

    slices: Sequence[SlicedErrors]

    def __init__(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> None:
        super().__init__()
        self.slice_values = {name: list(values) for name, values in slice_values.items()}
        options: dict[str, Any] = {"sync_on_compute": synced}
        self.collection = MetricCollection(
            {
                "rmse": MeanSquaredError(squared=False, **options),
                "mae": MeanAbsoluteError(**options),
                "spearman": SpearmanCorrCoef(**options),
            },
            compute_groups=False,
        )
        self.all_rows = SlicedErrors(1, **options)
        self.slices = nn.ModuleList(
            SlicedErrors(len(values), **options)
            for values in self.slice_values.values()  # type: ignore[assignment]
        )

    def update(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], counts: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: ``values`` [B] float32.
            batch: ``targets`` [B] float32; ``slices`` [B, S] int64 codes, -1 where unknown.
            counts: [B] bool, False for padding rows, which are left out.
        """
        values, targets, slices = outputs["values"][counts], batch["targets"][counts], batch["slices"][counts]
        if len(targets) == 0:
            return
        self.collection.update(values, targets)
        errors = (values - targets).abs()
        self.all_rows.update(errors, torch.zeros_like(targets, dtype=torch.long))
        for column, metric in enumerate(self.slices):
            metric.update(errors, slices[:, column])

    def compute(self) -> dict[str, Any]:
        """``rmse``, ``mae``, ``spearman`` (None where all are alike), ``rows``, and ``slices`` by column and value."""
        ranks: Any = self.collection["spearman"]
        if not ranks.preds:  # of a process that was dealt no rows: it gathers with the others all the same
            for state in (ranks.preds, ranks.target):
                state.append(torch.zeros(0, device=ranks.device))
        rows = self.all_rows.results(["all"])["all"]["rows"]
        numbers = {name: metric.compute().item() for name, metric in self.collection.items() if name != "spearman"}
        spearman = ranks.compute().item()
        return {
            **numbers,
            "spearman": spearman if rows >= _LEAST and math.isfinite(spearman) else None,
            "rows": rows,
            "slices": {
                name: metric.results(values)
                for (name, values), metric in zip(self.slice_values.items(), self.slices, strict=True)
            },
        }

    def reset(self) -> None:
        """Forget all rows."""
        for metric in (self.collection, self.all_rows, *self.slices):
            metric.reset()  # type: ignore[operator]  # nn.Module hides what it holds


class SlicedErrors(Metric):
    """Rows and the sum of their absolute errors for each value of a slice column.

    Args:
        num_slices: Values of the column.
        options: Of torchmetrics' ``Metric``.
    """

    full_state_update = False
    rows: Tensor  # [slices] int64
    errors: Tensor  # [slices] float32

    def __init__(self, num_slices: int, **options: bool) -> None:
        super().__init__(**options)
        self.add_state("rows", default=torch.zeros(num_slices, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("errors", default=torch.zeros(num_slices), dist_reduce_fx="sum")

    def update(self, errors: Tensor, codes: Tensor) -> None:
        """Add rows [B]; those with code -1 are left out."""
        known = codes >= 0
        self.rows += torch.bincount(codes[known], minlength=len(self.rows))
        self.errors.index_add_(0, codes[known], errors[known])

    def compute(self) -> Tensor:
        """[slices, 2] rows, and the sum of their absolute errors; torchmetrics would make a number of [1]."""
        return torch.stack([self.rows.float(), self.errors], dim=1)

    def results(self, values: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows and mean absolute error of each value that has rows."""
        sums = zip(values, self.compute().tolist(), strict=True)
        return {value: {"rows": int(rows), "mae": errors / rows} for value, (rows, errors) in sums if rows}
