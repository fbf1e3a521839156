"""Learning-rate schedules: linear warm-up, then decay to zero."""

from __future__ import annotations

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lit_humor.core.errors import UserError


class WarmupDecay:
    """Multiplies every group's own rate, so that layer-wise decay stays.

    Over n steps with warm-up fraction f: rises linearly from 1 / (f n) of the rate in the first step to the whole,
    then falls to 0 at step n, linearly or by half a cosine, and stays there.

    Args:
        decay: ``linear``, ``cosine``, or ``constant``.
        warmup_fraction: Share of the steps that warm up, in [0, 1).
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
        """Optimizer steps of warm-up in a schedule of ``num_steps``."""
        return round(self.warmup_fraction * num_steps)

    def factor(self, step: int, num_steps: int) -> float:
        """Factor of the rate at an optimizer step, counted from 0."""
        warmup = self.num_warmup_steps(num_steps)
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, num_steps - warmup))
        if self.decay == "constant":
            return 1.0
        return 1 - progress if self.decay == "linear" else 0.5 * (1 + math.cos(math.pi * progress))

    def build(self, optimizer: Optimizer, num_steps: int) -> LambdaLR:
        """Make the scheduler, to be stepped after each optimizer step."""
        return LambdaLR(optimizer, lambda step: self.factor(step, num_steps))
