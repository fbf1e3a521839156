"""A step whose gradient is not finite touches no weight and ends the training."""

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

_USUAL_RATE = 3e-5  # of the recipes


class NonFiniteRowsError(Exception):
    """The gradient of these rows is not finite.

    Args:
        rows: [B] positions of the step's rows in their split.
        place: Epoch and step.
    """

    def __init__(self, rows: Tensor, place: str) -> None:
        super().__init__(place)
        self.rows, self.place = rows, place


class FiniteGuard:
    """Looks at the norm of every optimizer step's gradient.

    On a CPU a bad step is refused at once. On a GPU a fused optimizer leaves it out on the device, and the host learns
    of it in the next step, so that it never waits for the device. Under FSDP it waits.
    """

    def __init__(self) -> None:
        self._pending: tuple[Tensor, Any, Tensor, str] | None = None

    def check(self, norm: Tensor, optimizer: torch.optim.Optimizer, rows: Tensor, place: str) -> None:
        """Refuse the step that is about to be taken, or the one before.

        Args:
            norm: [] norm of the whole gradient, the same on every process.
            optimizer: What is about to take the step.
            rows: [B] positions of the step's rows in their split.
            place: Epoch and step, for the message.

        Raises:
            NonFiniteRowsError: It is not finite; the weights are those before that step.
        """
        is_bad = ~torch.isfinite(norm)
        if is_sharded(optimizer) or not (norm.is_cuda and optimizer.defaults.get("fused")):
            if is_bad:
                raise NonFiniteRowsError(rows, place)
            return
        self.settle()
        optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]  # what a gradient scaler would set
        on_host = torch.empty((), dtype=torch.bool, pin_memory=True)
        on_host.copy_(is_bad, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        self._pending = on_host, copied, rows, place

    def settle(self) -> None:
        """Hear of the last step, too."""
        pending, self._pending = self._pending, None
        if pending is not None:
            on_host, copied, rows, place = pending
            copied.synchronize()
            if on_host:
                raise NonFiniteRowsError(rows, place)


def _non_finite_step(error: NonFiniteRowsError, ids: Sequence[object], num_processes: int, fix: str) -> UserError:
    """The message that names the rows of such a step; every process must ask.

    Args:
        error: What the guard raised, with the rows of this process.
        ids: Of the rows of the training split.
        num_processes: Processes that took part in the step.
        fix: What the user can do about it.
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
    """Turn what the guard raises into the message that names the rows; every process must be within.

    Args:
        ids: Of the rows of the training split.
        num_processes: Processes that take part in a step.
        fix: What the user can do about it.
    """
    try:
        yield
    except NonFiniteRowsError as error:
        raise _non_finite_step(error, ids, num_processes, fix) from None


def scaler_of(trainer: Any) -> torch.amp.GradScaler | None:
    """What scales the gradients of a Trainer, where its precision asks for it; it leaves out steps that overflow."""
    return getattr(trainer.precision_plugin, "scaler", None)


def way_to_finite(learning_rate: float, precision: str) -> str:
    """What to set where the numbers of a training do not stay finite."""
    rate = f"set optim.learning_rate={min(learning_rate / 2, _USUAL_RATE):g}"
    return rate if precision == FP32 else f"set trainer.precision={FP32}, or {rate}"


def check_mean_loss(loss: float, place: str, fix: str) -> None:
    """Refuse a mean training loss that is not finite; under fp16 single steps may be left out before it shows.

    Raises:
        UserError: It is not finite.
    """
    if not math.isfinite(loss):
        expected, fix = "a finite number", f"{fix}; last.ckpt holds the epoch before"
        raise UserError("train/loss", found=f"{loss} in {place}", expected=expected, fix=fix)
