"""The metrics of validation or test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torchmetrics import MeanMetric

from lit_humor.core.batch import Batch
from lit_humor.metrics.task_metrics import TaskMetrics
from lit_humor.objectives.objective import Outcome
from lit_humor.tasks.task import Task, join_results


class StageMetrics(nn.Module):
    """The metrics of every task, and the mean loss of the objective.

    Args:
        tasks: The tasks by name.
        slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
    """

    tasks: Mapping[str, TaskMetrics]

    def __init__(self, tasks: Mapping[str, Task], slice_values: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.tasks = nn.ModuleDict(  # type: ignore[assignment]
            {name: task.metrics(slice_values) for name, task in tasks.items()}
        )
        # NaN must stay visible in the mean; by default torchmetrics leaves NaN out.
        self.mean_loss = MeanMetric(nan_strategy=float("inf"))

    def update(self, outcome: Outcome, batch: Batch) -> None:
        """Add the rows of a batch, without padding rows."""
        counts = batch["row_weights"] > 0
        for metrics in self.tasks.values():
            metrics.update(outcome.outputs, batch, counts)  # type: ignore[arg-type]
        if counts.any():
            self.mean_loss.update(outcome.total[counts])

    def finish(self) -> dict[str, Any]:
        """Return all metrics over the rows of all processes, and reset them."""
        results = join_results(metrics.compute() for metrics in self.tasks.values())
        results["loss"] = self.mean_loss.compute().item()
        for metrics in (*self.tasks.values(), self.mean_loss):
            metrics.reset()  # type: ignore[operator]  # nn.Module hides what it holds
        return results
