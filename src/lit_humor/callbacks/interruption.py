"""Ends a run cleanly on Ctrl-C, a signal of a scheduler, or stop.py: finishes the optimizer step, saves, exits."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from lit_humor.callbacks.agreement import Agreement, is_step_end
from lit_humor.core.errors import InterruptedRun
from lit_humor.runs import record

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_SAME_SECONDS = 1.0  # Ctrl-C reaches every process of a run, and some of them pass it on


class Signals:
    """Signals that this process received.

    Outside of training a signal ends the process at once; in training it is kept until the optimizer step is done.

    Attributes:
        number: Number of the signal that asked to stop; 0: none.
        deferred: Whether a signal is only kept for later.
    """

    def __init__(self) -> None:
        self.number, self.deferred = 0, False
        self._received_at = 0.0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Handle signals within this context; does nothing outside of the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.number, self.deferred = 0, False
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            if number != signal.SIGHUP or before[number] is not signal.SIG_IGN:  # ignored by nohup
                signal.signal(number, self._answer)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        is_first = self.number == 0
        if is_first:
            self.number, self._received_at = number, now
        if not self.deferred:
            is_child = os.environ.get("LOCAL_RANK", "0") != "0" and "TORCHELASTIC_RUN_ID" not in os.environ
            if is_child:  # the process that started this one ends both
                os.kill(os.getppid(), number)
            elif is_first:
                raise InterruptedRun(number)
        if number == signal.SIGINT and not is_first and now - self._received_at > _SAME_SECONDS:
            raise KeyboardInterrupt  # a second Ctrl-C ends the process at once


signals = Signals()


class Interruption(Checkpoint):
    """Saves ``last.ckpt`` at the end of an optimizer step when the run was asked to stop, and ends it.

    A run is asked by a signal to any of its processes, or by a file ``stop-request`` in the run folder. A single
    process stops after the current step. Several processes exchange requests every few steps; they stop after about
    ``agree_every_seconds``, or after the current step if that takes longer. A file is noticed up to
    ``look_every_seconds`` later, and a running validation is finished first. Lightning calls a ``Checkpoint`` after all
    other callbacks, so the file holds what these have counted.

    Args:
        run_dir: The run folder.
        look_every_seconds: Time between two checks for the file.
        agree_every_seconds: Time between two exchanges of the processes.
    """

    def __init__(self, run_dir: str, look_every_seconds: float = 1.0, agree_every_seconds: float = 2.0) -> None:
        self.request = Path(run_dir) / record.STOP_REQUEST
        self.look_every_seconds = look_every_seconds
        self._looked_at = 0.0
        self._agreement = Agreement(agree_every_seconds)
        self.checkpoint = Path(run_dir) / record.CHECKPOINTS / record.LAST

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start to keep signals; delete a request that an earlier part of the run has followed."""
        if trainer.is_global_zero:
            self.request.unlink(missing_ok=True)
        signals.number, signals.deferred = 0, True
        self._agreement.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Save and end if asked to, at the end of an optimizer step, in all processes.

        Not at the last step of an epoch: a run resumed there would never validate that epoch.

        Raises:
            InterruptedRun: The run was asked to stop, and has saved.
        """
        self._look()
        self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save and end if asked to, after a validation in the middle of an epoch.

        Raises:
            InterruptedRun: The run was asked to stop, and has saved.
        """
        self._stop_if_asked(trainer, validated=True)

    def _stop_if_asked(self, trainer: pl.Trainer, validated: bool = False) -> None:
        if is_step_end(trainer, validated) and (number := self._agreement.ask(trainer, signals.number)):
            trainer.save_checkpoint(self.checkpoint)
            raise InterruptedRun(number)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End if asked to during the last validation.

        Raises:
            InterruptedRun: The run was asked to stop.
        """
        self._look(now=True)
        if number := self._agreement.ask_now(trainer, signals.number):
            raise InterruptedRun(number)
        signals.deferred = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop to keep signals: the training has ended."""
        signals.deferred = False

    def _look(self, now: bool = False) -> None:
        """Check whether there is a request in the run folder."""
        if now or time.monotonic() - self._looked_at > self.look_every_seconds:
            self._looked_at = time.monotonic()
            if signals.number == 0 and self.request.exists():
                signals.number = signal.SIGINT
