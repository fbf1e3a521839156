"""What a classifier said of a split. Legend: N rows, C classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lit_humor.core.batch import PROBABILITY, SLICE_COLUMNS
from lit_humor.metrics.confusion import count_confusion
from lit_humor.tasks.reports.scored import ScoredRun

SCORES = {"f1": "F1", "accuracy": "accuracy", "f1_macro": "macro F1"}  # of scores_of, as pages call them


@dataclass(frozen=True)
class Predictions:
    """What the model said of a split.

    Attributes:
        class_names: In class order.
        labels: [N] class indices.
        probabilities: [N, C].
        columns: The other columns of the file, such as ``id``, ``text``, ``group``.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    columns: Mapping[str, list[Any]]

    @cached_property
    def predicted(self) -> np.ndarray:
        """[N] the most probable class."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def counts(self) -> np.ndarray:
        """[C, C] rows, true class before predicted class."""
        return self.counts_of(np.arange(len(self.labels)))

    def counts_of(self, rows: np.ndarray) -> np.ndarray:
        """The same, of some rows."""
        return count_confusion(self.labels[rows], self.predicted[rows], len(self.class_names))

    def slices(self) -> dict[str, dict[str, np.ndarray]]:
        """Rows by language, genre, part and length (in quarters), as far as the data tells them."""
        found = {name: _rows_by_value(self.columns[name]) for name in SLICE_COLUMNS if name in self.columns}
        if "tokens" in self.columns and len(self.labels) >= 4:
            found["length"] = _rows_by_length(np.asarray(self.columns["tokens"]))
        return {name: values for name, values in found.items() if values}

    def text(self, row: int) -> str:
        """A row's text, behind its second text where it has one."""
        pair = (self.columns.get("text_pair") or [""] * len(self.labels))[row]
        return f"{self.columns['text'][row]} ‖ {pair}" if pair else str(self.columns["text"][row])


def predictions_of(run: ScoredRun) -> dict[str, Predictions]:
    """The predictions of a run by split."""
    return {split: _predictions(columns) for split, columns in run.predictions.items()}


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions/<split>.parquet``."""
    return _predictions(pq.read_table(path).to_pydict())


def _predictions(columns: Mapping[str, list[Any]]) -> Predictions:
    names = tuple(name.removeprefix(PROBABILITY) for name in columns if name.startswith(PROBABILITY))
    code = {name: index for index, name in enumerate(names)}
    return Predictions(
        class_names=names,
        labels=np.asarray([code[label] for label in columns["label"]], dtype=np.int64),
        probabilities=np.asarray([columns[PROBABILITY + name] for name in names], dtype=np.float64).T,
        columns={name: values for name, values in columns.items() if not name.startswith(PROBABILITY)},
    )


def _rows_by_value(column: list[Any]) -> dict[str, np.ndarray]:
    values = np.asarray(["" if value is None else str(value) for value in column])
    return {value: np.flatnonzero(values == value) for value in sorted(set(values.tolist()) - {""})}


def _rows_by_length(lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Rows by quarters of their length in tokens."""
    edges = np.unique(np.quantile(lengths, (0.25, 0.5, 0.75), method="lower"))
    quarter = np.searchsorted(edges, lengths)
    found = {}
    for index in range(len(edges) + 1):
        rows = np.flatnonzero(quarter == index)
        if len(rows):
            found[f"{lengths[rows].min()}-{lengths[rows].max()} tokens"] = rows
    return found
