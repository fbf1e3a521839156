"""metrics.csv: what was logged, in a file that a resumed run goes on with."""

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

    Lightning's own CSV logger deletes the file of the part before a resume.

    Args:
        run_dir: The run folder.
        every_seconds: Rows wait this long until they are written.
    """

    def __init__(self, run_dir: str, every_seconds: float = 2.0) -> None:
        super().__init__()
        self.path, self.every_seconds = Path(run_dir) / record.METRICS, every_seconds
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []
        self._num_written, self._written_at = 0, 0.0

    @property
    def name(self) -> None:
        """No folder of its own."""

    @property
    def version(self) -> None:
        """No folder of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row."""
        self._waiting.append({name: float(value) for name, value in metrics.items()} | {"step": step})
        if "epoch" in metrics:
            self._waiting[-1]["epoch"] = int(metrics["epoch"])
        if time.monotonic() - self._written_at > self.every_seconds:
            self.save()

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Leave this to config.yaml."""

    @rank_zero_only
    def save(self) -> None:
        """Write what waits; the file is written anew where there are new columns."""
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
        """Write what waits."""
        self.save()

    def count_rows(self) -> int:
        """Write what waits, and count all rows."""
        self.save()
        return self._num_written

    @rank_zero_only
    def go_on_after(self, num_rows: int) -> None:
        """Keep the first rows of a file that is there, and add to these."""
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
    """Keeps in each checkpoint how many rows metrics.csv had, so that a resumed run repeats none."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count the rows."""
        for logger in _files(trainer):
            checkpoint["metrics_rows"] = logger.count_rows()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on after these rows; those that came later are made again. A checkpoint is loaded to be scored, too."""
        for logger in _files(trainer) if trainer.state.fn == "fit" else ():
            logger.go_on_after(checkpoint.get("metrics_rows", 0))


def _files(trainer: pl.Trainer) -> list[MetricsCsv]:
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsCsv)]
