"""Keeps status.json up to date during a training."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import lightning.pytorch as pl

from lit_humor.runs import record


class Heartbeat(pl.Callback):
    """Writes ``status.json`` at the start, every few seconds, after each validation and at the end.

    Args:
        run_dir: The run folder.
        every_seconds: Time between two writes during an epoch. A write does not wait for the GPU.
    """

    def __init__(self, run_dir: str, every_seconds: float = 5.0) -> None:
        self.path = os.path.join(run_dir, record.STATUS)
        self.every_seconds = every_seconds
        self._written_at = 0.0
        self._started_at = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write that the training runs."""
        self._started_at, self._first_step = time.monotonic(), trainer.global_step
        self._write(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Write if the last write is old."""
        if time.monotonic() - self._written_at > self.every_seconds:
            self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the new best value, after the validation and its checkpoint."""
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the final counts; the command adds the final state later."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        self._written_at = time.monotonic()
        if not trainer.is_global_zero:
            return
        total = int(trainer.estimated_stepping_batches)
        done = trainer.global_step - self._first_step
        pace = (self._written_at - self._started_at) / done if done else None
        global_batch_size: int = trainer.lightning_module.step.global_batch_size  # type: ignore[union-attr,assignment]
        stopping = trainer.early_stopping_callback
        checkpoint = trainer.checkpoint_callback
        record.write_json(
            self.path,
            {
                "state": record.RUNNING,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "step": trainer.global_step,
                "total_steps": total,
                "epoch": trainer.current_epoch,
                "max_epochs": trainer.max_epochs,
                "best": _number(getattr(checkpoint, "best_model_score", None)),
                "checks_since_best": getattr(stopping, "wait_count", None),
                "patience": getattr(stopping, "patience", None),
                "eta_seconds": None if pace is None else round(pace * (total - trainer.global_step), 1),
                "rows_per_second": None if pace is None else round(global_batch_size / pace, 2),
                "learning_rate": max(group["lr"] for group in trainer.optimizers[0].param_groups),
                "heartbeat": time.time(),
            },
        )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
