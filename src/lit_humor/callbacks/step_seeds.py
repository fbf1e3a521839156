"""Randomness of a training step that depends on its place in the training alone."""

from __future__ import annotations

import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from lit_humor.core.seeds import derive_seed


class StepSeeds(pl.Callback):
    """Seeds torch, numpy and random before every batch from (seed, epoch, batch, process).

    Dropout then does not depend on what was drawn before, and a resumed run draws what the undisturbed one would have
    drawn, without the state of any generator.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed."""
        seed = derive_seed(self.seed, "step", trainer.current_epoch, batch_idx, trainer.global_rank)
        # Not torch.manual_seed: it formats a traceback for every kind of device that is not in use, 2-3 ms a step.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif pl_module.device.type == "mps":
            torch.mps.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
