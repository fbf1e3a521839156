"""Learning-rate schedules: linear warm-up, then decay to zero."""

from __future__ import annotations

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lit_humor.core.errors import UserError


class WarmupDecay:
    """Multiplies the rate of every group by the same factor, so that the ratios of layer-wise decay stay.

    Over n steps with warm-up fraction f, the factor rises linearly from 1 / (f n) in the first step to 1, then falls to
    0 at step n, linearly or as half a cosine, and stays there.

    Args:
        decay: ``linear``, ``cosine``, or ``constant`` (stays at 1 after the warm-up).
        warmup_fraction: Share of the steps used for warm-up, in [0, 1).
    """

    def __init__(self, decay: Literal["linear", "cosine", "constant"], warmup_fraction: float = 0.0) -> None:
        if not 0 <= warmup_fraction < 1:
            raise UserError(
                "optim.schedule.warmup_fraction",
                found=str(warmup_fraction),
                expected="0 <= value < 1",
                fix="set optim.schedule.warmup_fraction=0.1",
            )
        self.decay, self.warmup_fraction = decay, warmup_fraction

    def num_warmup_steps(self, num_steps: int) -> int:
        """Return the number of warm-up steps in a schedule of ``num_steps`` optimizer steps."""
        return round(self.warmup_fraction * num_steps)

    def factor(self, step: int, num_steps: int) -> float:
        """Return the factor of the rate at an optimizer step, counted from 0."""
        warmup = self.num_warmup_steps(num_steps)
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, num_steps - warmup))
        if self.decay == "constant":
            return 1.0
        return 1 - progress if self.decay == "linear" else 0.5 * (1 + math.cos(math.pi * progress))

    def build(self, optimizer: Optimizer, num_steps: int) -> LambdaLR:
        """Make the scheduler; call its ``step`` after each optimizer step."""
        return LambdaLR(optimizer, lambda step: self.factor(step, num_steps))


def num_schedule_steps(num_steps: float, max_epochs: int | None, schedule_epochs: int | None) -> int:
    """Optimizer steps until the rate is back at zero.

    Args:
        num_steps: Steps of the whole training; infinite where nothing bounds it.
        max_epochs: Epochs of the training.
        schedule_epochs: Epochs of the schedule; None, or more than ``max_epochs``, takes those of the training.

    Raises:
        UserError: The training has no end.
    """
    max_epochs = max_epochs or 1
    if not math.isfinite(num_steps) or max_epochs < 0:
        expected, fix = "a number above 0", "set trainer.max_epochs=4"
        raise UserError("trainer.max_epochs", found=str(max_epochs), expected=expected, fix=fix)
    return max(1, round(num_steps * min(schedule_epochs or max_epochs, max_epochs) / max_epochs))
