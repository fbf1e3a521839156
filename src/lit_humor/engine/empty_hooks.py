"""Leaves out what Lightning calls for nothing, one to two milliseconds per step, and its handlers of signals."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.profilers import PassThroughProfiler

EVERY_STEP = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_optimizer_step", "on_before_zero_grad"),
    *("on_before_backward", "on_after_backward"),
)
_NOTHING: AbstractContextManager[Any] = nullcontext()


class NoProfiler(PassThroughProfiler):
    """A profiler that measures nothing, with one context for all actions; Lightning's makes a generator for each."""

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        """Return a context that does nothing."""
        return _NOTHING


def leave_out_empty_hooks(callbacks: Iterable[pl.Callback]) -> None:
    """Set the hooks of a step that a callback does not define to None; Lightning calls only callable hooks."""
    for callback in callbacks:
        for name in EVERY_STEP:
            if getattr(type(callback), name) is getattr(pl.Callback, name):
                setattr(callback, name, None)


def leave_out_unused(trainer: pl.Trainer) -> None:
    """Leave out empty hooks of the callbacks, and Lightning's handlers of signals, before the training."""
    leave_out_empty_hooks(trainer.callbacks)  # type: ignore[attr-defined]
    # signals.heard() handles signals. With Lightning's handlers two processes would send each other SIGTERM for ever.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
