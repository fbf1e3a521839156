"""Decides after which optimizer steps a training is validated."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint


def validate_every(trainer: pl.Trainer, steps: int | None) -> None:
    """Validate after every ``steps`` optimizer steps of the run too, not only at the end of each epoch.

    Lightning's own ``val_check_interval`` counts micro-batches: it may fall between those of a step, drifts where the
    last step of an epoch has fewer, and takes the place of the validation at the end of the epoch.

    Args:
        trainer: The Trainer, before the training.
        steps: Optimizer steps, at least 1; None leaves it at the end of each epoch.
    """
    if steps is None:
        return
    loop = trainer.fit_loop.epoch_loop
    is_due_in_epoch = loop._should_check_val_fx

    def is_due(data_fetcher: Any) -> bool:
        is_step = not loop._should_accumulate() and trainer.global_step % steps == 0
        return is_due_in_epoch(data_fetcher) or (is_step and loop._should_check_val_epoch())

    loop._should_check_val_fx = is_due  # type: ignore[method-assign]
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor and callback._save_on_train_epoch_end is None:
            # Within an epoch right after the validation; otherwise the best model would be gone by its end.
            callback._should_save_on_train_epoch_end = _at_epoch_end  # type: ignore[method-assign]


def _at_epoch_end(trainer: pl.Trainer) -> bool:
    return trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
