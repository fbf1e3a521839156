"""Decisions that all processes of a training take at the same optimizer step."""

from __future__ import annotations

import time

import lightning.pytorch as pl
import torch


def is_step_end(trainer: pl.Trainer) -> bool:
    """Whether a batch just ended that closes an optimizer step, and is not the last of its epoch."""
    is_last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    return not trainer.fit_loop._should_accumulate() and not is_last


class Agreement:
    """Asks all processes for a value at the end of every few optimizer steps, the same ones on every process.

    An all-reduce and the wait for its result at every step would empty the queue of a GPU each time. How many steps
    pass between two questions follows from the step time of the slowest process, which all of them learn with the
    answer: as many as fit into ``seconds``, and at most twice as many as before. A value is thus heard within
    ``seconds``, or later by as much as the steps have become slower since. One process alone hears it at once.

    Args:
        seconds: Time between two questions.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.start()

    def start(self) -> None:
        """Begin anew, on all processes, with a question at the end of the next step."""
        self.every_steps, self._steps, self._asked_at = 1, 0, time.monotonic()

    def ask(self, trainer: pl.Trainer, value: int) -> int:
        """The largest value of any process; 0 between two questions. To be called at the end of every step."""
        if trainer.world_size == 1:
            return value
        self._steps += 1
        return self.ask_now(trainer, value) if self._steps >= self.every_steps else 0

    def ask_now(self, trainer: pl.Trainer, value: int) -> int:
        """The largest value of any process, whenever the last question was."""
        if trainer.world_size == 1:
            return value
        now = time.monotonic()
        step_seconds = (now - self._asked_at) / max(self._steps, 1)
        own = torch.tensor([value, step_seconds], device=trainer.strategy.root_device)
        largest, slowest = trainer.strategy.reduce(own, reduce_op="max").tolist()
        fitting = int(self.seconds / max(slowest, 1e-6))
        self.every_steps = max(1, min(fitting, 2 * self.every_steps))
        self._steps, self._asked_at = 0, time.monotonic()
        return int(largest)
