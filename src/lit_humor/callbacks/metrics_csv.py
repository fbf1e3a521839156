"""Writes logged metrics to metrics.csv; a resumed run appends to the file."""

from __future__ import annotations

import csv
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from lit_humor.runs import record


class MetricsCsv(Logger):
    """Writes a row for every call to ``log_metrics``, with the columns of all rows so far.

    Lightning's own CSV logger deletes the existing file when a run is resumed.

    Args:
        run_dir: The run folder.
        every_seconds: Time after which rows are written.
    """

    def __init__(self, run_dir: str, every_seconds: float = 2.0) -> None:
        super().__init__()
        self.path, self.every_seconds = Path(run_dir) / record.METRICS, every_seconds
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []
        self._num_written, self._written_at = 0, 0.0

    @property
    def name(self) -> None:
        """None: this logger has no folder of its own."""

    @property
    def version(self) -> None:
        """None: this logger has no folder of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row."""
        self._waiting.append({name: float(value) for name, value in metrics.items()} | {"step": step})
        if "epoch" in metrics:
            self._waiting[-1]["epoch"] = int(metrics["epoch"])
        if time.monotonic() - self._written_at > self.every_seconds:
            self.save()

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml has the hyperparameters."""

    @rank_zero_only
    def save(self) -> None:
        """Write the rows that wait; rewrite the whole file if there are new columns."""
        self._written_at = time.monotonic()
        new = set().union(*self._waiting) - set(self._columns)
        if new:
            self._rewrite([*record.read_metrics(self.path.parent), *self._waiting], sorted({*self._columns, *new}))
        elif self._waiting:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns).writerows(self._waiting)
        self._num_written += len(self._waiting)
        self._waiting = []

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rows that wait."""
        self.save()

    def count_rows(self) -> int:
        """Write the rows that wait, and return the number of all rows."""
        self.save()
        return self._num_written

    @rank_zero_only
    def resume_after(self, num_rows: int) -> None:
        """Keep the first ``num_rows`` rows of the existing file; new rows follow them."""
        rows = record.read_metrics(self.path.parent)[:num_rows]
        self._num_written = len(rows)
        self._rewrite(rows, list(rows[0]) if rows else [])

    def _rewrite(self, rows: list[dict[str, Any]], columns: list[str]) -> None:
        self._columns = columns
        with record.replacing(self.path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


class MetricsPosition(pl.Callback):
    """Saves the number of rows of metrics.csv in each checkpoint, so that a resumed run repeats no row."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the number of rows."""
        for logger in _files(trainer):
            checkpoint["metrics_rows"] = logger.count_rows()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Drop later rows, which the training logs again; do nothing if the checkpoint is only evaluated."""
        for logger in _files(trainer) if trainer.state.fn == "fit" else ():
            logger.resume_after(checkpoint.get("metrics_rows", 0))


def _files(trainer: pl.Trainer) -> list[MetricsCsv]:
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsCsv)]
