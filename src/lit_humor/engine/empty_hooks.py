"""Leaves out hooks that do nothing: Lightning's calls of them take one to two milliseconds per step."""

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
