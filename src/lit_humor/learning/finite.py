"""Ends a training when the gradient of a step is not finite, before that step changes the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lit_humor.core.errors import NonFiniteStepError, UserError
from lit_humor.core.precision import FP32
from lit_humor.models.sharding import is_sharded

_USUAL_RATE = 3e-5  # learning rate of the recipes


class NonFiniteRowsError(Exception):
    """The gradient of a step is not finite.

    Args:
        rows: [B] positions of the step's rows in the training split.
        place: Epoch and step, for the message.
    """

    def __init__(self, rows: Tensor, place: str) -> None:
        super().__init__(place)
        self.rows, self.place = rows, place


class FiniteGuard:
    """Checks the gradient norm of every optimizer step.

    On a CPU, and under FSDP, the error is raised before the step. On a GPU a fused optimizer skips the step on the
    device, and the error is raised in the next step, so that the host never waits for the device.
    """

    def __init__(self) -> None:
        self._pending: tuple[Tensor, Any, Tensor, str] | None = None

    def check(self, norm: Tensor, optimizer: torch.optim.Optimizer, rows: Tensor, place: str) -> None:
        """Check the step that the optimizer takes next, or on a GPU the step before it.

        Args:
            norm: [] norm of the whole gradient, the same in every process.
            optimizer: The optimizer.
            rows: [B] positions of the step's rows in the training split.
            place: Epoch and step, for the message.

        Raises:
            NonFiniteRowsError: The norm is not finite; the weights are those before that step.
        """
        is_bad = ~torch.isfinite(norm)
        if is_sharded(optimizer) or not (norm.is_cuda and optimizer.defaults.get("fused")):
            if is_bad:
                raise NonFiniteRowsError(rows, place)
            return
        self.settle()
        optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]  # as a gradient scaler sets it
        on_host = torch.empty((), dtype=torch.bool, pin_memory=True)
        on_host.copy_(is_bad, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        self._pending = on_host, copied, rows, place

    def settle(self) -> None:
        """Check the last step as well, whose result has not been read yet.

        Raises:
            NonFiniteRowsError: Its gradient is not finite.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            on_host, copied, rows, place = pending
            copied.synchronize()
            if on_host:
                raise NonFiniteRowsError(rows, place)


def _non_finite_step(error: NonFiniteRowsError, ids: Sequence[object], num_processes: int, fix: str) -> UserError:
    """Return the error for the user, with the ids of the step's rows; every process must call this.

    Args:
        error: The error of the guard, with the rows of this process.
        ids: Ids of the rows of the training split.
        num_processes: Number of processes in the step.
        fix: The remedy.
    """
    rows: list[list[int]] = [error.rows.tolist()]
    if num_processes > 1:
        rows = [[] for _ in range(num_processes)]
        torch.distributed.all_gather_object(rows, error.rows.tolist())
    names = ", ".join(str(ids[row]) for row in sorted(row for part in rows for row in part))
    return NonFiniteStepError(
        "train/loss",
        found=f"a gradient that is not finite in {error.place}, in a step of the rows {names}",
        expected="finite numbers in every step",
        fix=f"{fix}; checkpoints/{NonFiniteStepError.CHECKPOINT} holds the weights before that step",
    )


@contextmanager
def rows_named(ids: Sequence[object], num_processes: int, fix: str) -> Iterator[None]:
    """Context that turns the guard's error into one with the ids of the rows; every process must enter it.

    Args:
        ids: Ids of the rows of the training split.
        num_processes: Number of processes in a step.
        fix: The remedy.

    Raises:
        NonFiniteStepError: The guard raised an error in the context.
    """
    try:
        yield
    except NonFiniteRowsError as error:
        raise _non_finite_step(error, ids, num_processes, fix) from None


def scaler_of(trainer: Any) -> torch.amp.GradScaler | None:
    """Return the gradient scaler of a Trainer in fp16, which skips steps that overflow; None in other precisions."""
    return getattr(trainer.precision_plugin, "scaler", None)


def way_to_finite(learning_rate: float, precision: str) -> str:
    """Return the remedy for a training whose numbers do not stay finite."""
    rate = f"set optim.learning_rate={min(learning_rate / 2, _USUAL_RATE):g}"
    return rate if precision == FP32 else f"set trainer.precision={FP32}, or {rate}"


def check_mean_loss(loss: float, place: str, fix: str) -> None:
    """Check the mean training loss of an epoch; in fp16 single steps may be skipped before it is not finite.

    Raises:
        UserError: The loss is not finite.
    """
    if not math.isfinite(loss):
        expected, fix = "a finite number", f"{fix}; last.ckpt holds the epoch before"
        raise UserError("train/loss", found=f"{loss} in {place}", expected=expected, fix=fix)
