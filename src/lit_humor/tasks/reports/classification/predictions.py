"""The predictions of a classifier. Legend: N rows, C classes."""

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

SCORES = {"f1": "F1", "accuracy": "accuracy", "f1_macro": "macro F1"}  # keys of scores_of, and their names on pages


@dataclass(frozen=True)
class Predictions:
    """Predictions of a split.

    Attributes:
        class_names: In class order.
        labels: [N] true class indices.
        probabilities: [N, C] predicted probabilities.
        columns: The other columns of the file, such as ``id``, ``text``, ``group``.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    columns: Mapping[str, list[Any]]

    @cached_property
    def predicted(self) -> np.ndarray:
        """[N] indices of the most probable classes."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def counts(self) -> np.ndarray:
        """[C, C] confusion matrix; the first dimension is the true class."""
        return self.counts_of(np.arange(len(self.labels)))

    def counts_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the confusion matrix of some rows."""
        return count_confusion(self.labels[rows], self.predicted[rows], len(self.class_names))

    def slices(self) -> dict[str, dict[str, np.ndarray]]:
        """Return rows by language, genre, part and length (in quarters), as far as the data has these columns."""
        slices = {name: _rows_by_value(self.columns[name]) for name in SLICE_COLUMNS if name in self.columns}
        if "tokens" in self.columns and len(self.labels) >= 4:
            slices["length"] = _rows_by_length(np.asarray(self.columns["tokens"]))
        return {name: values for name, values in slices.items() if values}

    def text(self, row: int) -> str:
        """Return the text of a row, followed by its second text if there is one."""
        pair = (self.columns.get("text_pair") or [""] * len(self.labels))[row]
        return f"{self.columns['text'][row]} ‖ {pair}" if pair else str(self.columns["text"][row])


def predictions_of(run: ScoredRun) -> dict[str, Predictions]:
    """Return the predictions of a run by split."""
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
    """Return rows in quarters by their length in tokens."""
    edges = np.unique(np.quantile(lengths, (0.25, 0.5, 0.75), method="lower"))
    quarter = np.searchsorted(edges, lengths)
    rows_by_length = {}
    for index in range(len(edges) + 1):
        rows = np.flatnonzero(quarter == index)
        if len(rows):
            rows_by_length[f"{lengths[rows].min()}-{lengths[rows].max()} tokens"] = rows
    return rows_by_length
