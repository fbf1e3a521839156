"""The steps of one run: prepare it, fit it, score its best checkpoint, write the results."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import lightning.pytorch as pl
from omegaconf import DictConfig

from lit_humor.callbacks.interruption import signals
from lit_humor.core.errors import CollapsedError
from lit_humor.core.place import is_main_process
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine.checkpoints import read_checkpoint
from lit_humor.engine.collapse import after_collapse, train_anew
from lit_humor.engine.ending import told_how_it_ends
from lit_humor.engine.libraries import set_up_libraries
from lit_humor.engine.machine import peak_memory_bytes
from lit_humor.engine.nodes import leave_group
from lit_humor.engine.preparing import prepare
from lit_humor.engine.results import scored_splits, write_results
from lit_humor.engine.resume import find_resumed
from lit_humor.engine.run import Run
from lit_humor.engine.rundir import check_launch, let_go
from lit_humor.learning.learner import Learner
from lit_humor.runs import screen
from lit_humor.runs.processes import end_with_parent


def train(cfg: DictConfig) -> None:
    """Train, evaluate the best checkpoint and write all results into the run folder."""
    set_up_libraries()
    check_launch()
    if not is_main_process():
        end_with_parent(signal.SIGKILL)
    environment = dict(os.environ)  # before Lightning adds variables
    with signals.heard():
        try:
            cfg = after_collapse(cfg)
            resumed = find_resumed(cfg)
            if resumed and resumed.is_done:
                screen.show(f"Done already. Results, predictions and checkpoints: {resumed.folder}")
            else:
                _carry_out(prepare(resumed.cfg if resumed else cfg, resumed), environment)
        finally:
            let_go()
            screen.close_log()


def _carry_out(run: Run, environment: dict[str, str]) -> None:
    """Fit, score and write results; start a training that collapsed again."""
    try:
        with told_how_it_ends(run.folder):
            cost = fit(run)
            results, best = score_best(run)
            leave_group()
            if run.trainer.is_global_zero:
                write_results(run, results, best, cost)
    except CollapsedError as error:
        train_anew(run, error, environment)


def fit(run: Run) -> dict[str, float]:
    """Train to the end; return seconds, CPU seconds and peak memory."""
    wall, cpu = time.monotonic(), time.process_time()
    checkpoint = str(run.resumed_from) if run.resumed_from else None
    run.trainer.fit(run.learner, run.datamodule, ckpt_path=checkpoint, weights_only=True)
    return {
        "fit_seconds": time.monotonic() - wall,
        "fit_cpu_seconds": time.process_time() - cpu,
        "peak_memory_bytes": peak_memory_bytes(run.plan.accelerator),
    }


def score_best(run: Run) -> tuple[dict[str, Any], dict[str, int]]:
    """Return metrics by split, and epoch and step of the best checkpoint; without one, score the last weights."""
    best = {}
    if run.best.is_file():
        saved = read_checkpoint(run.best, mmap=True)
        run.trainer.strategy.load_model_state_dict(saved)
        best = {"epoch": saved["epoch"], "step": saved["global_step"]}
    results = {split: score(run.trainer, run.learner, run.datamodule, split) for split in scored_splits(run.datamodule)}
    return results, best


def score(trainer: pl.Trainer, learner: Learner, datamodule: HumorDataModule, split: str) -> dict[str, Any]:
    """Return the metrics of one split with the current weights of the learner."""
    datamodule.test_on(split)
    trainer.test(learner, datamodule, verbose=False)
    return learner.results["test"]
