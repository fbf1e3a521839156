"""Makes of a configuration a run that is ready to start."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from omegaconf import DictConfig

from lit_humor.config.command import choice
from lit_humor.core.place import is_main_process
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine import factory, lr_scale, tables
from lit_humor.engine.checkpoints import place_of
from lit_humor.engine.configuration import in_folder, settled
from lit_humor.engine.hardware import Plan
from lit_humor.engine.loggers import check_trackers
from lit_humor.engine.machine import look_at_machine
from lit_humor.engine.nodes import agree_on, check_processes
from lit_humor.engine.planning import build_plan
from lit_humor.engine.resume import Resumed, check_same_data
from lit_humor.engine.run import Run
from lit_humor.engine.rundir import check_room, create_run_dir, write_start
from lit_humor.engine.weights import load_initial_weights, save_backbone
from lit_humor.learning.learner import Learner
from lit_humor.models.pretrained import Pretrained
from lit_humor.runs import record, screen
from lit_humor.tasks.recorded import record_tasks

_RUN_DIR_VARIABLE = "LIT_HUMOR_RUN_DIR"  # passes the folder that the first process made to the others
_CHECKPOINTS_AT_ONCE = 3  # best, last, and the one that is being written


def prepare(cfg: DictConfig, resumed: Resumed | None) -> Run:
    """Check the configuration, build all objects, and make the run folder last, so that an error leaves no folder."""
    cfg = settled(cfg)
    check_trackers(cfg.logger or {})
    check_room(cfg.paths.logs_dir, 0)
    pretrained = factory.resolve_pretrained(cfg)
    cfg = lr_scale.computed(cfg, pretrained)
    plan = _plan(cfg, pretrained, resumed)
    check_room(cfg.paths.logs_dir, _CHECKPOINTS_AT_ONCE * pretrained.checkpoint_bytes())
    datamodule = factory.build_datamodule(cfg, pretrained, plan)
    report = _report(cfg, datamodule, resumed)
    learner, initial = _learner(cfg, pretrained, datamodule, plan, is_new=resumed is None)

    folder = resumed.folder if resumed else Path(agree_on(_RUN_DIR_VARIABLE, plan.num_nodes, lambda: _make_folder(cfg)))
    screen.write_log_to(folder / "log.txt")
    cfg = in_folder(cfg, folder)
    trainer = _trainer(cfg, plan, folder, is_new=resumed is None)
    if is_main_process():
        record.clear_unfinished(folder)
        record.write_json(folder / record.DATA_REPORT, report)
        save_backbone(folder, learner, pretrained)
        recorded = record_tasks(learner.tasks, cfg.get("monitor"), cfg.get("mode"))
        record.write_json(folder / record.TASKS, recorded.to_json())
        write_start(folder, cfg, plan.to_dict(), initial)
    if resumed:
        screen.show(f"Going on from step {place_of(resumed.checkpoint)[0]}, saved in {resumed.checkpoint.name}")
    screen.show(f"Run folder: {folder}\n")
    return Run(cfg, plan, folder, datamodule, learner, trainer, resumed.checkpoint if resumed else None)


def _plan(cfg: DictConfig, pretrained: Pretrained, resumed: Resumed | None) -> Plan:
    plan = build_plan(cfg, look_at_machine(), pretrained)
    check_processes(plan)
    if resumed:
        plan = replace(plan, reasons=dict.fromkeys(plan.reasons, "as before the interruption"))
    screen.show(tables.plan_table(plan))
    return plan


def _report(cfg: DictConfig, datamodule: HumorDataModule, resumed: Resumed | None) -> dict[str, Any]:
    """Load the data, check that a model can be trained on them, and return and show the data report."""
    datamodule.check_fit_for_training(*(task.check for task in factory.build_tasks(cfg).values()))
    report = datamodule.report()
    if resumed:
        check_same_data(resumed.folder, report)
    screen.show(*tables.data_tables(report))
    return report


def _learner(
    cfg: DictConfig, pretrained: Pretrained, datamodule: HumorDataModule, plan: Plan, *, is_new: bool
) -> tuple[Learner, Mapping[str, str]]:
    """Build the learner; return it with a description of its initial weights, empty if they are not from a run."""
    learner = factory.build_learner(cfg, pretrained, datamodule, class_names=datamodule.class_names, plan=plan)
    initial = load_initial_weights(learner, cfg.init_from) if cfg.init_from and is_new else {}
    if initial:
        anew = f"; its classes are others, so {initial['anew']} starts anew" if "anew" in initial else ""
        screen.show(f"Starting from the weights of {initial['checkpoint']}{anew}")
    screen.show(tables.group_table(learner.parameter_groups(), cfg.optim.learning_rate, cfg.optim.lr_scale))
    return learner, initial


def _make_folder(cfg: DictConfig) -> str:
    """Make the folder of a new run; without ``run_id`` its name begins with the experiment."""
    return str(create_run_dir(cfg.paths.logs_dir, cfg.run_id, choice("experiment") or "default"))


def _trainer(cfg: DictConfig, plan: Plan, folder: Path, *, is_new: bool) -> pl.Trainer:
    try:
        return factory.build_trainer(cfg, plan, folder)
    except Exception:  # Hydra wraps the errors of callbacks and loggers
        if is_new:
            shutil.rmtree(folder)  # it is still empty
        raise
