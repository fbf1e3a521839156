"""What a run was scored on and what it scored: all that pages of a task read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lit_humor.core.batch import TEST, VAL


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """Predictions and numbers of a run, by split.

    Attributes:
        predictions: Columns of ``predictions/<split>.parquet``.
        results: Numbers, as ``TaskMetrics.compute`` gives them.
        baselines: The same of the baseline; empty where there is none.
        origins: Where the rows are from.
    """

    predictions: Mapping[str, Mapping[str, list[Any]]]
    results: Mapping[str, Mapping[str, Any]]
    baselines: Mapping[str, Mapping[str, Any]]
    origins: Mapping[str, str]

    @property
    def headline(self) -> str:
        """The split to quote: test, or val where there is none."""
        return TEST if TEST in self.predictions else VAL
