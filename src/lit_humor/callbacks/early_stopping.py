"""Early stopping that starts after the warm-up."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping


class EarlyStoppingAfterWarmup(EarlyStopping):
    """Counts patience only once the learning rate has warmed up.

    With a long schedule the warm-up can last as long as the patience; a run could then be stopped before it has trained
    at its full rate. Validations during the warm-up do not count: they neither use patience nor set the best value.
    With ``trainer.validate_every_steps`` the validations within an epoch count like those at its end.

    Args:
        monitor: Metric, the same as for the best checkpoint.
        mode: ``max`` or ``min``.
        patience: Number of validations without a better value after which the training stops.
        min_delta: Smallest change that counts as better.
    """

    def __init__(self, monitor: str, mode: str, patience: int, min_delta: float = 0.0) -> None:
        super().__init__(
            monitor=monitor, mode=mode, patience=patience, min_delta=min_delta, check_on_train_epoch_end=False
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if the resumed run had already stopped early."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= max(self.patience, 1)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the metric, unless the learning rate is still warming up."""
        if trainer.global_step >= getattr(pl_module, "num_warmup_steps", 0):
            super().on_validation_end(trainer, pl_module)
