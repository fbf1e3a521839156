"""The parts of one run, which are built once and passed on."""

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
        config: The configuration, read-only.
        plan: The hardware plan.
        folder: The run folder.
        datamodule: The data module, after ``setup``.
        learner: The learner, with its initial weights.
        trainer: The Trainer, which writes to the run folder.
        resumed_from: The checkpoint to resume from; None for a new run.
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
        """Path of the best checkpoint, which a callback writes."""
        return self.folder / record.CHECKPOINTS / record.BEST
