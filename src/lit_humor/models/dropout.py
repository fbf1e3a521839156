"""Dropout with fast random numbers on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 2**16  # rates are rounded to 1 / 65536


class FastDropout(nn.Dropout):
    """``torch.nn.Dropout`` that draws 16 random bits per element by numpy's SFC64 if the tensor is on a CPU.

    An element is dropped with probability ``round(65536 p) / 65536``. Each call draws its seed from torch's generator:
    seeding or restoring that generator also determines these masks.

    Source: Srivastava et al. 2014, Dropout. Cost: half the time of torch's dropout on a CPU (``docs/log.md``).
    Alternatives: on other devices, and in compiled code, torch's own dropout is used.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements and scale the others by 1 / (1 - p) in training; the identity in evaluation."""
        return fast_dropout(input, self.p) if self.training else input


def fast_dropout(input: Tensor, p: float) -> Tensor:
    """Drop elements and scale the others; see ``FastDropout``.

    Args:
        input: Any shape.
        p: Share of elements to drop, 0 <= p < 1.
    """
    if p == 0:
        return input
    if input.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(input, p, training=True)
    return _ScaleByMask.apply(input, p)


def use_fast_dropout(module: nn.Module) -> None:
    """Replace every ``nn.Dropout`` in a module by ``FastDropout``, in place; names and parameters do not change."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, FastDropout(child.p))


class _ScaleByMask(torch.autograd.Function):
    """Multiply the input, and later the gradient, by a saved mask of 0 and 1 / (1 - p)."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, p: float) -> Tensor:
        seed = int(torch.randint(2**62, ()))
        words = np.random.Generator(np.random.SFC64(seed)).integers(2**64, size=-(-input.numel() // 4), dtype=np.uint64)
        random_values = torch.from_numpy(words.view(np.int16)[: input.numel()]).view(input.shape)
        num_dropped = round(p * _LEVELS)
        mask = random_values.ge(num_dropped - _LEVELS // 2).to(input.dtype).mul_(_LEVELS / (_LEVELS - num_dropped))
        ctx.save_for_backward(mask)
        return input * mask

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.saved_tensors[0], None
