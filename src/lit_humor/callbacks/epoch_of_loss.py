"""Tells the loss which epoch it is, for terms that begin in a later one."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl


class EpochOfLoss(pl.Callback):
    """Sets the epoch of the terms that are added to a loss (``objectives/regularized.py``) before every batch.

    Not at the start of an epoch: a run that is resumed within one has no such start.
    """

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Set the epoch."""
        for term in getattr(pl_module.objective.forward, "terms", ()):  # type: ignore[union-attr]
            term.epoch = trainer.current_epoch
