"""Builds plain Python objects from a configuration; no other module does."""

from __future__ import annotations

import functools
from pathlib import Path

import lightning.pytorch as pl
from hydra.utils import instantiate
from lightning.pytorch.callbacks import LearningRateMonitor
from omegaconf import DictConfig, OmegaConf

from lit_humor.config.parts import naming_parts, with_arguments
from lit_humor.config.validate import find_target
from lit_humor.core.place import process_rank
from lit_humor.core.seeds import derive_seed
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.preparing.preparation import Preparation
from lit_humor.data.preparing.texts import TextPreparation
from lit_humor.data.settings import DataSettings
from lit_humor.engine import lr_scale
from lit_humor.engine.checkpoints import SafeCheckpointIO
from lit_humor.engine.empty_hooks import NoProfiler, leave_out_unused
from lit_humor.engine.hardware import FULL, Plan
from lit_humor.engine.loggers import open_loggers
from lit_humor.engine.validating import validate_every
from lit_humor.learning.coupled import check_accumulation
from lit_humor.learning.learner import Learner
from lit_humor.models.pretrained import Pretrained
from lit_humor.runs import screen
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.task import Task, join_results


def build_tasks(cfg: DictConfig, class_names: tuple[str, ...] = ()) -> dict[str, Task]:
    """Build the tasks of a run by name, without those that are ``null``; an older run, which names none, classifies."""
    nodes = OmegaConf.select(cfg, "tasks")
    if nodes is None:
        return {Classification.kind: Classification(class_names)}
    made = {str(name): instantiate(node, _partial_=True, _convert_="all") for name, node in nodes.items() if node}
    return {name: make(class_names=class_names) for name, make in made.items()}


def open_pretrained(cfg: DictConfig, name: str) -> Pretrained:
    """Return what the network of a run is loaded from; ``name`` is a hub name, a folder, or ``backbone/`` of a run."""
    pretrained = find_target("model.network", cfg.model.network["_target_"]).loaded_from(name)
    pretrained.check_max_length(cfg.data.max_length)
    return pretrained


def resolve_pretrained(cfg: DictConfig) -> Pretrained:
    """Return the pretrained model of a training; raise a UserError if ``max_length`` is too large for it."""
    name = cfg.model.pretrained
    return open_pretrained(cfg, name if isinstance(name, str) else instantiate(name))


def build_preparation(cfg: DictConfig, pretrained: Pretrained, settings: DataSettings) -> Preparation:
    """Build the preparation of the model's inputs; an older run, which names none, reads texts."""
    node = OmegaConf.select(cfg, "model.preparation")
    make = instantiate(node, _partial_=True, _convert_="all") if node else TextPreparation
    return make(pretrained=pretrained, settings=settings)


def build_datamodule(cfg: DictConfig, pretrained: Pretrained, plan: Plan | None) -> HumorDataModule:
    """Build source, preparation and data module; without a plan only for evaluation."""
    nodes = {str(key): value for key, value in OmegaConf.to_container(cfg.data, resolve=True).items()}  # type: ignore[union-attr]
    settings = DataSettings.of(nodes)
    make = instantiate({"_target_": nodes.pop("_target_")}, _partial_=True)  # the rest unread: a file may be ${x}.csv
    source = make(**{key: value for key, value in nodes.items() if key not in vars(settings)})
    return HumorDataModule(
        source,
        build_preparation(cfg, pretrained, settings),
        settings,
        global_batch_size=plan.global_batch_size if plan else None,
        micro_batch_size=plan.micro_batch_size if plan else None,
        num_workers=plan.num_workers if plan else 0,
        seed=cfg.seed,
        announce=screen.show,
    )


def build_learner(
    cfg: DictConfig,
    pretrained: Pretrained,
    datamodule: HumorDataModule | None,
    *,
    class_names: tuple[str, ...],
    plan: Plan | None,
    attention: str = "sdpa",
) -> Learner:
    """Build model, objective, optimizer and metrics; the initial weights depend only on the seed.

    Without a plan, the learner is for a checkpoint that is loaded next: weights have no values, class weights are 1,
    and ``attention`` is the attention backend.
    """
    tasks = build_tasks(cfg, class_names)
    for task in tasks.values():
        task.connect(pretrained)
    pl.seed_everything(derive_seed(cfg.seed, "init") % 2**32, verbose=False)
    network = instantiate(
        cfg.model.network,
        pretrained=pretrained.name,
        attention=plan.attention if plan else attention,
        with_weights=plan is not None,
        **join_results(task.network_arguments for task in tasks.values()),
    )
    arguments = join_results(task.objective_arguments for task in tasks.values())
    objective = naming_parts()(instantiate)(with_arguments(cfg, arguments), _convert_="all")
    if plan is not None and datamodule is not None:
        check_accumulation(objective, plan.accumulation)
        training = datamodule.training_rows
        objective.prepare(training)
        network.prepare(training)
    learner = Learner(
        network,
        objective,
        tasks,
        optimizer=instantiate(lr_scale.computed(cfg, pretrained).optim, _convert_="all"),
        global_batch_size=plan.global_batch_size if plan else 1,
        schedule_epochs=cfg.trainer.schedule_epochs,
        max_tokens=plan.max_tokens if plan else None,
        slice_values=datamodule.slice_values if datamodule else {},
        announce=screen.show,
    )
    if plan is not None and plan.compile:
        network.compile_parts(whole=plan.compile == FULL)
    rank = str(process_rank(plan.devices if plan else 1))  # each process draws other dropout masks
    pl.seed_everything(derive_seed(cfg.seed, "training", rank) % 2**32, verbose=False)
    return learner


def build_trainer(cfg: DictConfig, plan: Plan, run_dir: Path) -> pl.Trainer:
    """Build the Trainer with callbacks and loggers, without those that are ``null``; they write to the run folder."""
    build = functools.partial(instantiate, _convert_="all")
    callbacks = {name: build(node) for name, node in cfg.callbacks.items() if node is not None}
    loggers = open_loggers(cfg.logger, build)
    if not loggers:  # LearningRateMonitor raises an error if there are none
        callbacks = {name: call for name, call in callbacks.items() if not isinstance(call, LearningRateMonitor)}
    trainer = pl.Trainer(
        **plan.trainer_arguments(),
        max_epochs=cfg.trainer.max_epochs,
        gradient_clip_val=cfg.trainer.gradient_clip_val,
        log_every_n_steps=cfg.trainer.log_every_n_steps,
        deterministic=cfg.trainer.deterministic,
        callbacks=list(callbacks.values()),
        plugins=[SafeCheckpointIO()],
        profiler=NoProfiler(),
        logger=list(loggers.values()),
        default_root_dir=str(run_dir),
        enable_model_summary=False,
        num_sanity_val_steps=0,  # the data was checked already, and its rows would be counted twice
    )
    leave_out_unused(trainer)
    validate_every(trainer, cfg.trainer.get("validate_every_steps"))
    return trainer
