"""Metrics of a classifier, exact under several processes. Legend: B rows, C classes, S slice columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from lit_humor.metrics.confusion import scores_of
from lit_humor.metrics.task_metrics import TaskMetrics


class ClassificationMetrics(TaskMetrics):
    """All metrics of one stage, updated batch by batch.

    Args:
        class_names: Class names in class order, the humorous one last.
        slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
        synced: Whether ``compute`` adds up the rows of all processes, which then all have to call it. False: the rows
            of this process alone.
    """

    slices: Sequence[SlicedConfusion]

    def __init__(
        self, class_names: Sequence[str], slice_values: Mapping[str, Sequence[str]], *, synced: bool = True
    ) -> None:
        super().__init__()
        self.class_names = list(class_names)
        self.slice_values = {name: list(values) for name, values in slice_values.items()}
        count = len(self.class_names)
        options: dict[str, Any] = {"sync_on_compute": synced}
        self.collection = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(count, average="micro", **options),
                "precision": MulticlassPrecision(count, average="none", **options),
                "recall": MulticlassRecall(count, average="none", **options),
                "class_f1": MulticlassF1Score(count, average="none", **options),
                "f1_macro": MulticlassF1Score(count, average="macro", **options),
                "f1_weighted": MulticlassF1Score(count, average="weighted", **options),
                "confusion": MulticlassConfusionMatrix(count, **options),
                "auroc": MulticlassAUROC(count, average="macro", **options),
                "calibration_error": MulticlassCalibrationError(count, n_bins=15, **options),
            }
        )
        self.slices = nn.ModuleList(
            SlicedConfusion(len(values), count, **options)
            for values in self.slice_values.values()  # type: ignore[assignment]
        )

    def update(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], counts: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: ``probabilities`` [B, C] float32.
            batch: ``labels`` [B] int64; ``slices`` [B, S] int64 codes, -1 where unknown.
            counts: [B] bool, False for padding rows, which are left out.
        """
        probabilities = outputs["probabilities"][counts]
        labels, slices = batch["labels"][counts], batch["slices"][counts]
        if len(labels) == 0:
            return
        self.collection.update(probabilities, labels)
        predictions = probabilities.argmax(dim=1)
        for column, metric in enumerate(self.slices):
            metric.update(predictions, labels, slices[:, column])

    def compute(self) -> dict[str, Any]:
        """Every metric as plain numbers, over the rows of all processes.

        Returns:
            The scalars that the task defines; ``classes``: precision, recall, F1 and rows of each;
            ``confusion``: counts, a row for each true class; ``slices``: results by column and value.
        """
        self._add_no_rows()
        found = {name: value.cpu() for name, value in self.collection.compute().items()}
        confusion = found["confusion"].tolist()
        classes = {
            name: {
                "precision": found["precision"][index].item(),
                "recall": found["recall"][index].item(),
                "f1": found["class_f1"][index].item(),
                "rows": sum(confusion[index]),
            }
            for index, name in enumerate(self.class_names)
        }
        binary = len(self.class_names) == 2
        scalars = ("accuracy", "f1_macro", "f1_weighted", "calibration_error")
        return {
            "f1": classes[self.class_names[-1]]["f1"] if binary else found["f1_macro"].item(),
            **{name: found[name].item() for name in scalars},
            "mcc": matthews_correlation(found["confusion"]),
            "auroc": found["auroc"].item() if all(map(sum, confusion)) else None,
            "rows": sum(map(sum, confusion)),
            "classes": classes,
            "confusion": confusion,
            "slices": {
                name: metric.results(values)
                for (name, values), metric in zip(self.slice_values.items(), self.slices, strict=True)
            },
        }

    def _add_no_rows(self) -> None:
        """Let a process that was dealt no rows gather with the others: theirs have these shapes and dtypes."""
        for metric in self.collection.values(copy_state=False):
            if isinstance(metric, MulticlassAUROC) and not metric.preds:
                metric.preds.append(torch.zeros(0, len(self.class_names), device=metric.device))
                metric.target.append(torch.zeros(0, dtype=torch.long, device=metric.device))

    def reset(self) -> None:
        """Forget all rows."""
        self.collection.reset()
        for metric in self.slices:
            metric.reset()


def measure(class_names: Sequence[str], labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Every metric of a whole split, as ``ClassificationMetrics.compute`` tells them, without slices.

    It asks nothing of other processes: one process may call it while the others do something else, or have ended.

    Args:
        class_names: Class names in class order, the humorous one last.
        labels: [N] int64.
        probabilities: [N, C].
    """
    metrics = ClassificationMetrics(class_names, {}, synced=False)
    everything, no_slices = torch.ones(len(labels), dtype=torch.bool), torch.zeros(len(labels), 0, dtype=torch.long)
    batch = {"labels": torch.from_numpy(labels), "slices": no_slices}
    metrics.update({"probabilities": torch.from_numpy(probabilities).float()}, batch, everything)
    return metrics.compute()


def matthews_correlation(confusion: Tensor) -> float:
    """Gorodkin's R_K from counts [C, C]; 0 where only one class was predicted or exists, as in scikit-learn.

    torchmetrics 1.9 returns a small number other than 0 in that case.

    Source: Gorodkin 2004, equation 8.
    """
    counts = confusion.double()
    rows, true, predicted = counts.sum(), counts.sum(1), counts.sum(0)
    covariance = counts.diagonal().sum() * rows - true @ predicted
    spread = (rows**2 - true @ true) * (rows**2 - predicted @ predicted)
    return (covariance / spread.sqrt()).item() if spread > 0 else 0.0


class SlicedConfusion(Metric):
    """A confusion matrix for each value of a slice column.

    Args:
        num_slices: Values of the column.
        num_classes: C.
        options: Of torchmetrics' ``Metric``.
    """

    full_state_update = False
    confusion: Tensor  # [slices, C, C], true class before predicted class

    def __init__(self, num_slices: int, num_classes: int, **options: bool) -> None:
        super().__init__(**options)
        zeros = torch.zeros(num_slices, num_classes, num_classes, dtype=torch.long)
        self.add_state("confusion", default=zeros, dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor, codes: Tensor) -> None:
        """Add rows [B]; those with code -1 are left out."""
        known = codes >= 0
        num_classes = self.confusion.shape[-1]
        cells = (codes[known] * num_classes + labels[known]) * num_classes + predictions[known]
        self.confusion += torch.bincount(cells, minlength=self.confusion.numel()).view_as(self.confusion)

    def compute(self) -> Tensor:
        """[slices, C, C] counts."""
        return self.confusion

    def results(self, values: Sequence[str]) -> dict[str, dict[str, float]]:
        """Rows, accuracy and F1 of each value that has rows."""
        results = {}
        for value, matrix in zip(values, self.compute().cpu().numpy(), strict=True):
            if rows := int(matrix.sum()):
                scores = scores_of(matrix)
                results[value] = {"rows": rows, "accuracy": float(scores["accuracy"]), "f1": float(scores["f1"])}
        return results
