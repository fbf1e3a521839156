"""Ctrl-C, or stop.py, ends a run cleanly: finish the optimizer step, save, leave."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from lit_humor.runs import record


class InterruptedRun(Exception):
    """The user asked the run to stop; ``last.ckpt`` holds everything up to now."""


class Interruption(pl.Callback):
    """Saves ``last.ckpt`` after the optimizer step in which it was asked to stop; a second Ctrl-C leaves at once.

    The first Ctrl-C asks, and so does a file ``stop-request`` in the run folder.

    Args:
        run_dir: The run folder.
        look_every_seconds: Time between two looks for that file.
    """

    def __init__(self, run_dir: str, look_every_seconds: float = 1.0) -> None:
        self.request = Path(run_dir) / record.STOP_REQUEST
        self.look_every_seconds = look_every_seconds
        self._looked_at = 0.0
        self.checkpoint = Path(run_dir) / record.CHECKPOINTS / record.LAST
        self.asked = False
        self._previous: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over Ctrl-C; forget a request that an earlier part of the run obeyed."""
        if trainer.is_global_zero:
            self.request.unlink(missing_ok=True)
        self._previous = signal.signal(signal.SIGINT, self._remember)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Leave if asked to, at the end of an optimizer step, all processes together.

        Not at the last step of an epoch: a run resumed there would never validate that epoch.
        """
        self._look()
        progress = trainer.fit_loop.epoch_loop.batch_progress
        at_step_end = not trainer.fit_loop._should_accumulate() and not progress.is_last_batch
        if at_step_end and trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            trainer.save_checkpoint(self.checkpoint)
            raise InterruptedRun

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give Ctrl-C back; leave if it came during the last validation."""
        self._restore()
        self._look(now=True)
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            raise InterruptedRun

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C leaves at once

    def _look(self, now: bool = False) -> None:
        """See whether a request lies in the folder."""
        if now or time.monotonic() - self._looked_at > self.look_every_seconds:
            self._looked_at = time.monotonic()
            self.asked |= self.request.exists()

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
