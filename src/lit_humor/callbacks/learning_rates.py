"""Logs learning rates, as columns of metrics.csv."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LearningRateMonitor


class StepLearningRates(LearningRateMonitor):
    """Logs the learning rate of every parameter group, once for each logged optimizer step.

    Lightning's own callback logs a row at each micro-batch, all with the same step and the same rates.
    """

    def __init__(self) -> None:
        super().__init__(logging_interval="step")
        self._last_step = -1

    def on_train_start(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        """Forget the last logged step."""
        super().on_train_start(trainer, *args, **kwargs)
        self._last_step = -1

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        """Log at the first micro-batch of an optimizer step."""
        if trainer.global_step != self._last_step:
            self._last_step = trainer.global_step
            super().on_train_batch_start(trainer, *args, **kwargs)
