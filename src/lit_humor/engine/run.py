"""One run: what it is made of, built once and handed down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
from omegaconf import DictConfig

from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine.hardware import Plan
from lit_humor.learning.learner import Learner
from lit_humor.runs import record


@dataclass(frozen=True)
class Run:
    """A training that is ready to start.

    Attributes:
        config: Read-only.
        plan: How to train on this machine.
        folder: The run folder.
        datamodule: Set up.
        learner: With its initial weights.
        trainer: Writes to the run folder.
        resumed_from: The checkpoint to go on from; None for a new run.
    """

    config: DictConfig
    plan: Plan
    folder: Path
    datamodule: HumorDataModule
    learner: Learner
    trainer: pl.Trainer
    resumed_from: Path | None = None

    @property
    def best(self) -> Path:
        """Where the callback of that name keeps the best checkpoint."""
        return self.folder / record.CHECKPOINTS / record.BEST
