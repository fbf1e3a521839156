"""A finished run in memory: its model with the weights of a checkpoint, and its data or others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from lit_humor.config.saved import open_run_dir
from lit_humor.core.errors import UserError
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine import factory
from lit_humor.engine.configuration import changed, settled
from lit_humor.engine.hardware import ANYWHERE
from lit_humor.engine.weights import class_names_of, load_weights
from lit_humor.learning.learner import Learner
from lit_humor.runs import record


@dataclass(frozen=True)
class TrainedRun:
    """A finished run, ready for ``trainer.test(run.learner, run.datamodule)``.

    Attributes:
        learner: With the weights of the checkpoint.
        datamodule: With the run's data, or other data.
        precision: Precision that the run was trained and scored with.
        folder: The run folder.
    """

    learner: Learner
    datamodule: HumorDataModule
    precision: str
    folder: Path


def load_run(folder: str, checkpoint: str | None = None, data: DictConfig | None = None) -> TrainedRun:
    """Load a finished run; needs neither Hydra's command line nor the hub.

    Args:
        folder: The run folder.
        checkpoint: Checkpoint file; None takes the best of the run.
        data: A ``data`` node to score; None takes the run's own data.

    Raises:
        UserError: There is no such run or checkpoint, or the checkpoint is another model's.
    """
    path, saved = open_run_dir(folder)
    cfg = settled(saved if data is None else changed(saved, {"data": data}))
    backbone = str(path / record.BACKBONE)
    factory.check_max_length(cfg.data.max_length, backbone)
    datamodule = factory.build_datamodule(cfg.data, backbone, cfg.seed, plan=None)
    datamodule.load()
    _check_classes(datamodule, class_names_of(path))
    learner, precision = load_learner(path, cfg, checkpoint, datamodule)
    return TrainedRun(learner, datamodule, precision, path)


def load_learner(
    path: Path, cfg: DictConfig, checkpoint: str | None = None, datamodule: HumorDataModule | None = None
) -> tuple[Learner, str]:
    """Load the weights of a run, and the precision it was trained in; without data it can score, but measures nothing.

    Args:
        path: The run folder.
        cfg: The run's configuration.
        checkpoint: Checkpoint file; None takes the best of the run.
        datamodule: Tells the slices that metrics are counted by.
    """
    plan = record.read_json(path / record.ENVIRONMENT)["plan"]
    attention = plan["attention"] if plan["attention"] in ANYWHERE else "sdpa"
    learner = factory.build_learner(
        settled(cfg),
        str(path / record.BACKBONE),
        datamodule,
        class_names=class_names_of(path),
        plan=None,
        attention=attention,
    )
    load_weights(learner, Path(checkpoint) if checkpoint else path / record.CHECKPOINTS / record.BEST)
    return learner.eval(), plan["precision"]


def _check_classes(datamodule: HumorDataModule, class_names: tuple[str, ...]) -> None:
    if datamodule.class_names != class_names:
        raise UserError(
            "data.label_names",
            found=f"classes {list(datamodule.class_names)}",
            expected=f"{list(class_names)}, those of the model",
            fix=f"set 'data.label_names=[{','.join(class_names)}]'",
        )
