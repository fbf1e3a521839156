"""Loads a finished run: its model with the weights of a checkpoint, and its data or other data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from lit_humor.config.frozen import changed
from lit_humor.config.saved import SavedRun, open_run
from lit_humor.core.errors import UserError
from lit_humor.core.precision import PRECISIONS
from lit_humor.core.settings import typed
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine import factory
from lit_humor.engine.configuration import settled
from lit_humor.engine.hardware import ANYWHERE
from lit_humor.engine.weights import load_weights
from lit_humor.learning.learner import Learner
from lit_humor.tasks.task import LOGITS


@dataclass(frozen=True)
class TrainedRun:
    """A finished run, ready for ``trainer.test(run.learner, run.datamodule)``.

    Attributes:
        learner: The learner, with the weights of the checkpoint.
        datamodule: The data module, with the run's data or other data.
        precision: Precision of the Trainer, as in training.
        folder: The run folder.
    """

    learner: Learner
    datamodule: HumorDataModule
    precision: str
    folder: Path


def load_run(run: str | SavedRun, checkpoint: str | None = None, data: DictConfig | None = None) -> TrainedRun:
    """Load a finished run; needs neither Hydra's command line nor the hub.

    Args:
        run: The run, or its folder or name.
        checkpoint: Checkpoint file; None takes the best of the run.
        data: A ``data`` node to score; None takes the run's own data.

    Raises:
        UserError: There is no such run or checkpoint, or the checkpoint is of another model.
    """
    saved = open_run(run)
    cfg = settled(saved.config if data is None else changed(saved.config, {"data": data}))
    datamodule = factory.build_datamodule(cfg, factory.open_pretrained(cfg, saved.backbone), plan=None)
    reads_head = {LOGITS in task.reads for task in factory.build_tasks(saved.config, saved.class_names).values()}
    if False in reads_head:
        _load_answers(datamodule, cfg.data)
    if True in reads_head:
        datamodule.load()
        _check_classes(datamodule, saved.class_names)
    precision = PRECISIONS[saved.plan["precision"]].passed_on
    return TrainedRun(load_learner(saved, checkpoint, datamodule), datamodule, precision, saved.folder)


def load_learner(saved: SavedRun, checkpoint: str | None = None, datamodule: HumorDataModule | None = None) -> Learner:
    """Load the weights of a run; without a data module the learner computes no metrics by slice.

    Args:
        saved: The run.
        checkpoint: Checkpoint file; None takes the best of the run.
        datamodule: Has the slices that metrics are computed for.

    Raises:
        UserError: There is no such checkpoint, or it is of another model.
    """
    attention, cfg = saved.plan["attention"], settled(saved.config)
    learner = factory.build_learner(
        cfg,
        factory.open_pretrained(cfg, saved.backbone),
        datamodule,
        class_names=saved.class_names,
        plan=None,
        attention=attention if attention in ANYWHERE else "sdpa",
    )
    learner.model.load_kept_out(lambda: factory.resolve_pretrained(cfg))
    path = Path(checkpoint) if checkpoint else saved.best
    load_weights(learner, path, lambda: factory.resolve_pretrained(cfg).load_table())
    return learner.eval()


def _load_answers(datamodule: HumorDataModule, node: DictConfig) -> None:
    """Load rows for a run without classes.

    Raises:
        UserError: They have no answer to find or to write.
    """
    can_be_set = "answer_column" in node
    is_missing = can_be_set and node.answer_column is None  # before the file is read, which would ask for labels
    if is_missing or any(examples.answers is None for examples in datamodule.load().values()):
        raise UserError(
            "data.answer_column",
            found="rows without answers",
            expected="a column of texts to find or to write, as in training",
            fix="set data.answer_column=<column>" if can_be_set else "leave data away, which takes the data of the run",
        )


def _check_classes(datamodule: HumorDataModule, class_names: tuple[str, ...]) -> None:
    if datamodule.class_names != class_names:
        raise UserError(
            "data.label_names",
            found=f"classes {list(datamodule.class_names)}",
            expected=f"{list(class_names)}, those of the model",
            fix=f"set {typed('data.label_names', list(class_names))}",
        )
