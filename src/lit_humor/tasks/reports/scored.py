"""The predictions and metrics of a run, which the pages of a task are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from lit_humor.core.batch import TEST, VAL
from lit_humor.tasks.answers import own_columns


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """Predictions and metrics of a run by split.

    Attributes:
        predictions: Columns of ``predictions/<split>.parquet``, and arrays [N, D] of vectors beside it by their names.
        results: Metrics, as in ``TaskMetrics.compute``.
        baselines: Metrics of the baseline; empty if there is none.
        origins: Where the rows come from.
        kept: What the page of a task keeps, so that it is worked out once.
    """

    predictions: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Mapping[str, Any]]
    baselines: Mapping[str, Mapping[str, Any]]
    origins: Mapping[str, str]
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def headline(self) -> str:
        """The split of the main results: test, or val if there is no test split."""
        return TEST if TEST in self.predictions else VAL

    def of_task(self, name: str) -> Self:
        """Return the run as one of its tasks sees it: columns have the names that the task gave them."""
        predictions = {split: own_columns(name, columns) for split, columns in self.predictions.items()}
        return replace(self, predictions=predictions)
