"""Logs the seconds of each epoch, as columns of metrics.csv."""

from __future__ import annotations

import time

import lightning.pytorch as pl
import torch


class EpochTimer(pl.Callback):
    """Logs the wall time of each epoch: ``time/epoch_seconds``, and ``time/train_seconds`` without validation.

    After a resume in the middle of an epoch the first values cover the rest of that epoch.
    """

    def __init__(self) -> None:
        self._started_at = self._validation_at = 0.0
        self._validation_seconds = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; for an epoch that is resumed in the middle this is the only call at its start."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of an epoch."""
        self._started_at, self._validation_seconds = time.monotonic(), 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the validation, when the device has finished the training steps."""
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        self._validation_at = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the time of the validation."""
        self._validation_seconds += time.monotonic() - self._validation_at

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the times, before the checkpoint at the end of the epoch is saved."""
        passed = time.monotonic() - self._started_at
        times = {"time/epoch_seconds": passed, "time/train_seconds": passed - self._validation_seconds}
        for logger in trainer.loggers:
            logger.log_metrics(times | {"epoch": trainer.current_epoch}, step=trainer.global_step - 1)
