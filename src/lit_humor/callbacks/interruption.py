"""Ctrl-C ends a run cleanly: finish the optimizer step, save, leave."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from lit_humor.runs import record


class InterruptedRun(Exception):
    """The user asked the run to stop; ``last.ckpt`` holds everything up to now."""


class Interruption(pl.Callback):
    """On the first Ctrl-C saves ``last.ckpt`` after the current optimizer step; a second one leaves at once.

    Args:
        run_dir: The run folder.
    """

    def __init__(self, run_dir: str) -> None:
        self.checkpoint = Path(run_dir) / record.CHECKPOINTS / record.LAST
        self.asked = False
        self._previous: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over Ctrl-C."""
        self._previous = signal.signal(signal.SIGINT, self._remember)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Leave if asked to, at the end of an optimizer step, all processes together.

        Not at the last step of an epoch: a run resumed there would never validate that epoch.
        """
        progress = trainer.fit_loop.epoch_loop.batch_progress
        at_step_end = not trainer.fit_loop._should_accumulate() and not progress.is_last_batch
        if at_step_end and trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            trainer.save_checkpoint(self.checkpoint)
            raise InterruptedRun

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give Ctrl-C back; leave if it came during the last validation."""
        self._restore()
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            raise InterruptedRun

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C leaves at once

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
