"""One training from configuration to results; the steps in the order in which they happen."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from omegaconf import DictConfig

from lit_humor.callbacks.interruption import signals
from lit_humor.config.command import choice
from lit_humor.config.saved import written_config
from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import CollapsedError, UserError
from lit_humor.core.place import is_main_process
from lit_humor.core.settings import command_line, setting
from lit_humor.data.baseline import DESCRIPTION, tfidf_probabilities
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine import factory, tables
from lit_humor.engine.checkpoints import place_of, read_checkpoint
from lit_humor.engine.ending import set_state, told_how_it_ends
from lit_humor.engine.hardware import Plan
from lit_humor.engine.loggers import check_trackers, log_final_scores
from lit_humor.engine.machine import look_at_machine
from lit_humor.engine.nodes import agree_on, check_processes
from lit_humor.engine.planning import build_plan
from lit_humor.engine.resume import Resumed, at_half_rate, check_same_data, find_resumed
from lit_humor.engine.rundir import check_launch, check_room, create_run_dir, let_go, write_start
from lit_humor.engine.weights import load_initial_weights
from lit_humor.learning.learner import Learner
from lit_humor.metrics.classification import DEFINITIONS, measure
from lit_humor.models.pretrained import checkpoint_bytes
from lit_humor.reporting.run_page import write_report
from lit_humor.runs import record, screen
from lit_humor.runs.processes import end_with_parent

_RUN_DIR_VARIABLE = "LIT_HUMOR_RUN_DIR"  # the folder that the first process made
_HALF = "train anew with half the optim.learning_rate"
_CHECKPOINTS_AT_ONCE = 3  # best, last, and the one that is being written


def train(cfg: DictConfig) -> None:
    """Train, evaluate the best checkpoint and leave everything in the run folder."""
    quiet_libraries()
    check_launch()
    if not is_main_process():
        end_with_parent(signal.SIGKILL)
    environment = dict(os.environ)  # without what Lightning puts there
    with signals.heard():
        try:
            resumed = find_resumed(cfg)
            if resumed and resumed.is_done:
                screen.show(f"Done already. Results, predictions and checkpoints: {resumed.folder}")
            else:
                _train(resumed.cfg if resumed else cfg, resumed)
        except CollapsedError as error:
            if resumed:
                raise UserError("recover", found=str(error), expected="more", fix=_HALF) from None
            _train_at_half_rate(cfg, str(error), environment)
        finally:
            let_go()
            screen.close_log()


def _train_at_half_rate(cfg: DictConfig, why: str, environment: dict[str, str]) -> None:
    """Put a new training in the place of this process: nothing of the collapsed one stays in memory."""
    if not is_main_process():
        sys.exit(0)
    instead = at_half_rate(cfg)
    screen.show(f"\nCollapsed: {why}. Once more from the start at half the rate, as {instead['run_id']}.")
    sys.stdout.flush()
    typed = [*sys.orig_argv[1:], *(f"{key}={value}" for key, value in instead.items())]
    os.execve(sys.executable, [sys.executable, *typed], environment)


def _train(cfg: DictConfig, resumed: Resumed | None) -> None:
    factory.validate(cfg)
    check_trackers(cfg.logger or {})
    factory.pin_paths(cfg)
    check_room(cfg.paths.logs_dir, 0)
    pretrained = factory.resolve_pretrained(cfg)
    plan = build_plan(cfg, look_at_machine(), pretrained)
    check_processes(plan)
    if resumed:
        plan = replace(plan, reasons=dict.fromkeys(plan.reasons, "as before the interruption"))
    screen.show(tables.plan_table(plan))

    check_room(cfg.paths.logs_dir, _CHECKPOINTS_AT_ONCE * checkpoint_bytes(pretrained))
    datamodule = factory.build_datamodule(cfg.data, pretrained, cfg.seed, plan)
    datamodule.check_fit_for_training()
    report = datamodule.report()
    if resumed:
        check_same_data(resumed.folder, report)
    screen.show(*tables.data_tables(report))
    learner = factory.build_learner(cfg, pretrained, datamodule, class_names=datamodule.class_names, plan=plan)
    initial = load_initial_weights(learner, cfg.init_from) if cfg.init_from and not resumed else {}
    if initial:
        anew = f"; its classes are others, so {initial['anew']} starts anew" if "anew" in initial else ""
        screen.show(f"Starting from the weights of {initial['checkpoint']}{anew}")
    screen.show(tables.group_table(learner.parameter_groups(), cfg.optim.learning_rate, cfg.optim.lr_scale))

    run_dir = (
        resumed.folder if resumed else Path(agree_on(_RUN_DIR_VARIABLE, plan.num_nodes, lambda: _make_folder(cfg)))
    )
    screen.write_log_to(run_dir / "log.txt")
    try:
        trainer = factory.build_trainer(cfg, plan, run_dir)
    except Exception:  # Hydra wraps what a callback or logger says
        if not resumed:
            shutil.rmtree(run_dir)  # nothing of a run is in it
        raise
    if is_main_process():
        record.clear_unfinished(run_dir)
        record.write_json(run_dir / record.DATA_REPORT, report)
        factory.save_backbone(run_dir, learner, datamodule)
        write_start(run_dir, cfg, plan.to_dict(), initial)
    if resumed:
        screen.show(f"Going on from step {place_of(resumed.checkpoint)[0]}, saved in {resumed.checkpoint.name}")
    screen.show(f"Run folder: {run_dir}\n")
    with told_how_it_ends(run_dir):
        _fit_and_score(cfg, plan, trainer, learner, datamodule, resumed)


def _fit_and_score(
    cfg: DictConfig,
    plan: Plan,
    trainer: pl.Trainer,
    learner: Learner,
    datamodule: HumorDataModule,
    resumed: Resumed | None,
) -> None:
    run_dir = Path(cfg.paths.run_dir)
    best = run_dir / record.CHECKPOINTS / record.BEST
    wall, cpu = time.monotonic(), time.process_time()
    trainer.fit(learner, datamodule, ckpt_path=str(resumed.checkpoint) if resumed else None, weights_only=True)
    cost = {"fit_seconds": time.monotonic() - wall, "fit_cpu_seconds": time.process_time() - cpu}
    cost["peak_memory_bytes"] = peak_memory_bytes(plan.accelerator)
    checkpoint = best if best.is_file() else None  # without that callback: the weights of the last step
    results = {split: score(trainer, learner, datamodule, split, checkpoint) for split in _scored(datamodule)}
    _leave_group()
    if not trainer.is_global_zero:
        return
    _write_result(run_dir, trainer, results, {}, cost)  # before the baseline, which may take long or fail
    baseline = _baseline(datamodule) if cfg.baseline else {}
    _write_result(run_dir, trainer, results, baseline, cost)
    log_final_scores(trainer, written_config(cfg), results)
    set_state(run_dir, record.DONE)
    for split, found in results.items():
        screen.show(*tables.result_tables(split, found, baseline.get(split)))
    if cfg.report:
        _write_report(run_dir)
    _show_end(run_dir, datamodule, cost["fit_seconds"])


def quiet_libraries() -> None:
    """Silence hints that are about nothing a user of this project decides."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", module=r"torchmetrics\..*")


def score(
    trainer: pl.Trainer,
    learner: Learner,
    datamodule: HumorDataModule,
    split: str,
    checkpoint: str | Path | None,
) -> dict[str, Any]:
    """Run ``trainer.test`` on one split; None scores the weights that the learner has."""
    datamodule.test_on(split)
    path = None if checkpoint is None else str(checkpoint)
    trainer.test(learner, datamodule, ckpt_path=path, verbose=False, weights_only=True)
    return learner.results["test"]


def _leave_group() -> None:
    """Let all processes leave their group together: behind this line the first one works alone, and the others end.

    Something that asks all of them (a metric that adds up their rows) would wait for processes that are gone.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _make_folder(cfg: DictConfig) -> str:
    """The folder of a new run, named after its experiment where it has no name."""
    return str(create_run_dir(cfg.paths.logs_dir, cfg.run_id, choice("experiment") or "default"))


def _scored(datamodule: HumorDataModule) -> list[str]:
    return [split for split in (VAL, TEST) if split in datamodule.splits]


def _baseline(datamodule: HumorDataModule) -> dict[str, Any]:
    """Metrics of the TF-IDF baseline on every scored split; none where the texts have no words to count."""
    splits = _scored(datamodule)
    try:
        found = tfidf_probabilities(datamodule.splits[TRAIN], *(datamodule.splits[split] for split in splits))
    except ValueError as error:
        screen.show(f"No TF-IDF baseline: {error}")
        return {}
    return {
        split: measure(datamodule.class_names, datamodule.splits[split].labels, probabilities)
        for split, probabilities in zip(splits, found, strict=True)
    }


def _write_result(
    run_dir: Path,
    trainer: pl.Trainer,
    results: dict[str, Any],
    baseline: dict[str, Any],
    cost: dict[str, float],
) -> None:
    checkpoint = trainer.checkpoint_callback
    record.write_json(
        run_dir / record.RESULT,
        {
            "results": results,
            "baseline": {"description": DESCRIPTION, "results": baseline} if baseline else None,
            "definitions": DEFINITIONS,
            "best": {
                "monitor": getattr(checkpoint, "monitor", None),
                "score": None if (best := getattr(checkpoint, "best_model_score", None)) is None else float(best),
                **_place_of_best(run_dir),
            },
            "probe": record.read_json(run_dir / record.ENVIRONMENT)["plan"]["probe"],
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            **cost,
        },
    )


def _write_report(run_dir: Path) -> None:
    """Write the page; a run is no worse for lacking it."""
    try:
        screen.show(f"\nReport: {write_report(run_dir)}")
    except UserError as error:
        screen.show(f"\nNo report: {error}")


def _show_end(run_dir: Path, datamodule: HumorDataModule, fit_seconds: float) -> None:
    """Say how far the numbers can be trusted, and where everything is."""
    scored = ["The val rows chose the checkpoint, so their numbers flatter a little."]
    scored += [
        f"{datamodule.splits[split].origin}: such rows are easier than a file of their own; say so when you quote them."
        for split in _scored(datamodule)
        if "split off" in datamodule.splits[split].origin
    ]
    screen.show(
        f"\nFit {fit_seconds:.0f} s.",
        *scored,
        f"Results, predictions and checkpoints: {run_dir}",
        f"Score it again: {command_line('eval', setting('run', str(run_dir)))}",
    )


def peak_memory_bytes(accelerator: str) -> int:
    """Memory of the GPU at its peak, or of this process where it trained on the CPU."""
    if accelerator == "gpu":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the parent process held when it started this one
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _place_of_best(run_dir: Path) -> dict[str, int]:
    best = run_dir / record.CHECKPOINTS / record.BEST
    if not best.is_file():
        return {}
    saved = read_checkpoint(best, mmap=True)
    return {"epoch": saved["epoch"], "step": saved["global_step"]}
