"""What a run folder says: read once, without torch. Legend: N rows, C classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lit_humor.core.batch import SLICE_COLUMNS, SPLITS, TEST, VAL
from lit_humor.core.errors import UserError
from lit_humor.core.settings import command_line, setting
from lit_humor.metrics.confusion import count_confusion
from lit_humor.runs import record

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


@dataclass(frozen=True)
class Evidence:
    """A run, as its folder has it.

    Attributes:
        folder: The run folder.
        environment: ``environment.json``.
        data_report: ``data_report.json``.
        result: ``result.json``.
        config: ``config.yaml`` as text.
        epochs: Rows of ``metrics.csv`` that close an epoch, numbers by column.
        steps: Rows of ``metrics.csv`` with learning rates.
        predictions: By split.
    """

    folder: Path
    environment: Mapping[str, Any]
    data_report: Mapping[str, Any]
    result: Mapping[str, Any]
    config: str
    epochs: list[dict[str, float]]
    steps: list[dict[str, float]]
    predictions: dict[str, Predictions] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The split to quote: test, or val where there is none."""
        return TEST if TEST in self.predictions else VAL


def read_run(folder: Path) -> Evidence:
    """Read a finished run.

    Raises:
        UserError: The run has no results yet.
    """
    if not (folder / record.RESULT).is_file() or not (folder / record.PREDICTIONS).is_dir():
        raise UserError(
            f"run={folder}",
            found="no results in that folder",
            expected="a run that is done",
            fix=f"go on with it: {command_line('train', setting('resume', str(folder)))}",
        )
    rows = [{name: float(value) for name, value in row.items() if value} for row in record.read_metrics(folder)]
    found = {
        split: read_predictions(path) for split in SPLITS if (path := record.predictions_path(folder, split)).is_file()
    }
    return Evidence(
        folder=folder,
        environment=record.read_json(folder / record.ENVIRONMENT),
        data_report=record.read_json(folder / record.DATA_REPORT),
        result=record.read_json(folder / record.RESULT),
        config=(folder / record.CONFIG).read_text(encoding="utf-8"),
        epochs=_merge_by_epoch(rows),
        steps=[row for row in rows if any(name.startswith("lr-") for name in row)],
        predictions=found,
    )


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions/<split>.parquet``."""
    columns = pq.read_table(path).to_pydict()
    names = tuple(name.removeprefix(record.PROBABILITY) for name in columns if name.startswith(record.PROBABILITY))
    code = {name: index for index, name in enumerate(names)}
    return Predictions(
        class_names=names,
        labels=np.asarray([code[label] for label in columns["label"]], dtype=np.int64),
        probabilities=np.asarray([columns[record.PROBABILITY + name] for name in names], dtype=np.float64).T,
        columns={name: values for name, values in columns.items() if not name.startswith(record.PROBABILITY)},
    )


def _merge_by_epoch(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """One row an epoch: that of its validation, and what was logged of it later; not the scores after training."""
    merged = {row["epoch"]: dict(row) for row in rows if "train/loss" in row}
    for row in rows:
        if any(name.startswith("time/") for name in row) and row["epoch"] in merged:
            merged[row["epoch"]].update(row)
    return [merged[epoch] for epoch in sorted(merged)]


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
