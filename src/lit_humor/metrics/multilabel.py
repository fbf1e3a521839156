"""Metrics of several labels a row, exact under several processes. Legend: B rows, K labels, S slice columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MultilabelAUROC

from lit_humor.metrics.label_counts import THRESHOLD, measure_labels
from lit_humor.metrics.task_metrics import TaskMetrics


class MultiLabelMetrics(TaskMetrics):
    """All metrics of one stage, updated batch by batch.

    Args:
        names: [K] names of the labels.
        slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
        synced: Whether ``compute`` adds up the rows of all processes, which then all have to call it.
    """

    slices: Sequence[SlicedCounts]

    def __init__(self, names: Sequence[str], slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> None:
        super().__init__()
        self.names = list(names)
        self.slice_values = {name: list(values) for name, values in slice_values.items()}
        options: dict[str, Any] = {"sync_on_compute": synced}
        self.auroc = MultilabelAUROC(len(self.names), average="none", **options)
        self.all_rows = SlicedCounts(1, len(self.names), **options)
        self.slices = nn.ModuleList(
            SlicedCounts(len(values), len(self.names), **options)
            for values in self.slice_values.values()  # type: ignore[assignment]
        )

    def update(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], counts: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: ``label_probabilities`` [B, K] float32.
            batch: ``targets`` [B, K] float32, 0 or 1; ``slices`` [B, S] int64 codes, -1 where unknown.
            counts: [B] bool, False for padding rows, which are left out.
        """
        probabilities, targets = outputs["label_probabilities"][counts], batch["targets"][counts]
        if len(targets) == 0:
            return
        self.auroc.update(probabilities, targets.long())
        true, given = targets > 0, probabilities >= THRESHOLD  # as label_counts, on the device, without a wait for it
        is_exact = (true == given).all(dim=1, keepdim=True)
        of_rows = torch.cat([true & given, ~true & given, true & ~given, is_exact], dim=1).to(targets)
        self.all_rows.update(of_rows, torch.zeros(len(targets), dtype=torch.long, device=targets.device))
        for column, metric in enumerate(self.slices):
            metric.update(of_rows, batch["slices"][counts][:, column])

    def compute(self) -> dict[str, Any]:
        """The numbers of ``measure_labels``, ``auroc`` (mean over labels that have both), and ``slices``."""
        if not self.auroc.preds:  # of a process that was dealt no rows: it gathers with the others all the same
            self.auroc.preds.append(torch.zeros(0, len(self.names), device=self.auroc.device))
            self.auroc.target.append(torch.zeros(0, len(self.names), dtype=torch.long, device=self.auroc.device))
        results = self.all_rows.results(["all"], self.names).get("all", {"rows": 0})
        areas = self.auroc.compute().tolist()
        labels = results.get("labels", {})
        usable = [area for area, name in zip(areas, labels, strict=False) if 0 < labels[name]["rows"] < results["rows"]]
        return {
            **results,
            "auroc": sum(usable) / len(usable) if usable else None,
            "slices": {
                column: metric.results(values, self.names)
                for (column, values), metric in zip(self.slice_values.items(), self.slices, strict=True)
            },
        }

    def reset(self) -> None:
        """Forget all rows."""
        for metric in (self.auroc, self.all_rows, *self.slices):
            metric.reset()


class SlicedCounts(Metric):
    """Sums of ``label_counts`` and rows for each value of a slice column.

    Args:
        num_slices: Values of the column.
        num_labels: K.
        options: Of torchmetrics' ``Metric``.
    """

    full_state_update = False
    counts: Tensor  # [slices, 3K + 2] float32, exact below 16 million rows

    def __init__(self, num_slices: int, num_labels: int, **options: bool) -> None:
        super().__init__(**options)
        zeros = torch.zeros(num_slices, 3 * num_labels + 2)
        self.add_state("counts", default=zeros, dist_reduce_fx="sum")

    def update(self, of_rows: Tensor, codes: Tensor) -> None:
        """Add rows [B, 3K + 1]; those with code -1 are left out."""
        known = codes >= 0
        one_more = torch.cat([of_rows, torch.ones_like(of_rows[:, :1])], dim=1)
        self.counts.index_add_(0, codes[known], one_more[known])

    def compute(self) -> Tensor:
        """[slices, 3K + 2] sums."""
        return self.counts

    def results(self, values: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The numbers of each value that has rows."""
        sums = zip(values, self.compute().cpu().numpy(), strict=True)
        return {value: measure_labels(names, counts) for value, counts in sums if counts[-1]}
