"""How long an epoch takes, as a column of metrics.csv."""

from __future__ import annotations

import time

import lightning.pytorch as pl


class EpochTimer(pl.Callback):
    """Logs ``time/epoch_seconds``: wall time of an epoch, its validation included.

    After a resume in the middle of an epoch the first value covers the rest of that epoch.
    """

    def __init__(self) -> None:
        self._started_at = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start: an epoch that is resumed in the middle gets no other call."""
        self._started_at = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start again."""
        self._started_at = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what has passed."""
        pl_module.log("time/epoch_seconds", time.monotonic() - self._started_at, rank_zero_only=True)
