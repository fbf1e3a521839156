"""Lets all processes of a training take a decision at the same optimizer step."""

from __future__ import annotations

import time

import lightning.pytorch as pl
import torch


def is_step_end(trainer: pl.Trainer, validated: bool = False) -> bool:
    """Whether an optimizer step just ended after which a checkpoint can be resumed exactly.

    Not the last step of an epoch, nor, before its validation, one that is validated: a run resumed there would leave
    the validation out.

    Args:
        trainer: The Trainer.
        validated: Whether the validation after this step is over.
    """
    loop = trainer.fit_loop.epoch_loop
    if loop._should_accumulate() or loop.batch_progress.is_last_batch:
        return False
    return validated or not loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]


class Agreement:
    """Exchanges a value between all processes every few optimizer steps, at the same steps in every process.

    An all-reduce at every step would make the GPU wait each time. The number of steps between two exchanges follows
    from the step time of the slowest process, which is exchanged too: as many as fit into ``seconds``, at most twice as
    many as before. So all processes know a value after ``seconds``; later only if the steps have become slower. With a
    single process there is no delay.

    Args:
        seconds: Time between two exchanges.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.start()

    def start(self) -> None:
        """Reset; the next exchange is at the end of the next step. To be called in all processes."""
        self.every_steps, self._steps, self._asked_at = 1, 0, time.monotonic()

    def ask(self, trainer: pl.Trainer, value: int) -> int:
        """Return the largest value of all processes; 0 between two exchanges. To be called at the end of every step."""
        if trainer.world_size == 1:
            return value
        self._steps += 1
        return self.ask_now(trainer, value) if self._steps >= self.every_steps else 0

    def ask_now(self, trainer: pl.Trainer, value: int) -> int:
        """Return the largest value of all processes, by an exchange now."""
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
