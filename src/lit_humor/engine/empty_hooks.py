"""Hooks that do nothing are not called: Lightning would name and time each, a millisecond or two a step together."""

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
    """Measures nothing, with one context for all actions; Lightning's makes a generator for each."""

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        """A context that does nothing."""
        return _NOTHING


def leave_out_empty_hooks(callbacks: Iterable[pl.Callback]) -> None:
    """Set the hooks of a step to None where a callback does not have them: Lightning calls only what can be called."""
    for callback in callbacks:
        for name in EVERY_STEP:
            if getattr(type(callback), name) is getattr(pl.Callback, name):
                setattr(callback, name, None)
