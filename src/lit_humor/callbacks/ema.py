"""Averages the weights of a training; the average is what is validated, saved as best, tested and exported."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from lit_humor.core.errors import UserError


def averaging(decay: float | None) -> pl.Callback:
    """Return the callback that averages the weights; None: one that does nothing."""
    return pl.Callback() if decay is None else EMA(decay)


class EMA(WeightAveraging):
    """Exponential moving average of the weights, updated after each optimizer step.

    Formula: ``average = d * average + (1 - d) * weights`` with ``d = min(decay, (1 + n) / (10 + n))`` at update n, so
    that the average of a short training does not hang on its first weights. Training goes on with the weights
    themselves. A checkpoint has the average as ``state_dict``, which all commands read, and the weights as
    ``current_model_state``, with which ``resume`` goes on.

    Source: Polyak & Juditsky 1992; Tarvainen & Valpola 2017, Mean teachers are better role models, for deep networks;
    ``d`` as in TensorFlow's ``ExponentialMovingAverage``. Lightning's ``WeightAveraging`` does the work; its own EMA
    has one decay, and rounds whole numbers among the buffers.
    Cost: the weights once more in memory and in each checkpoint, and a pass over them in each step.
    Alternatives: a schedule that ends at zero does much the same for the last weights.

    Args:
        decay: Above 0 and below 1. It averages over about the last 1 / (1 - decay) steps.

    Raises:
        UserError: ``decay`` is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            expected, fix = "0 < value < 1, or null", "set callbacks.ema.decay=0.99"
            raise UserError("callbacks.ema.decay", found=str(decay), expected=expected, fix=fix)
        self.decay = decay
        super().__init__(device=None, use_buffers=False, multi_avg_fn=self._average)  # buffers are copied

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make a copy of the model, before a checkpoint is loaded into both.

        Raises:
            UserError: Weights are sharded over devices.
        """
        if isinstance(trainer.strategy, ModelParallelStrategy):
            expected, fix = "ddp, where each process has all weights", "set trainer.strategy=ddp"
            raise UserError("trainer.strategy", found="fsdp, with callbacks.ema", expected=expected, fix=fix)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You're using the WeightAveraging callback with a model that overrides")
            super().setup(trainer, pl_module, stage)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to the device of the model."""
        assert self._average_model is not None, "setup has made it"
        self._average_model.to(pl_module.device)

    @torch.no_grad()
    def _average(self, averages: Sequence[Tensor], weights: Sequence[Tensor], num_updates: Any) -> None:
        """Update averages in place; ``num_updates`` [] stays on its device, for which nothing waits."""
        share = 1 - ((1 + num_updates) / (10 + num_updates)).clamp(max=self.decay)
        for average, weight in zip(averages, weights, strict=True):
            average.lerp_(weight, share.to(average.dtype))
