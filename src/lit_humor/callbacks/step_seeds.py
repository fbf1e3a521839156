"""Makes the random numbers of a training step depend only on seed, epoch, batch and process."""

from __future__ import annotations

import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from lit_humor.core.seeds import derive_seed


class StepSeeds(pl.Callback):
    """Seeds torch, numpy and random before every batch from (seed, epoch, batch, process).

    So a resumed run draws the same dropout masks as an uninterrupted one, without any saved state of generators.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed all generators."""
        seed = derive_seed(self.seed, "step", trainer.current_epoch, batch_idx, trainer.global_rank)
        # Not torch.manual_seed: it formats a traceback for every unused kind of device, 2-3 ms for each step.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif pl_module.device.type == "mps":
            torch.mps.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
