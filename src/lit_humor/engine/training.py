"""One training from configuration to results; the steps in the order in which they happen."""

from __future__ import annotations

import logging
import resource
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig, OmegaConf

from lit_humor.callbacks.interruption import InterruptedRun
from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.data.baseline import DESCRIPTION, tfidf_probabilities
from lit_humor.data.datamodule import HumorDataModule
from lit_humor.engine import factory, screen
from lit_humor.engine.cli import INTERRUPTED, choice, typed_overrides
from lit_humor.engine.hardware import look_at_machine
from lit_humor.engine.learner import Learner
from lit_humor.engine.rundir import create_run_dir, is_main_process, open_run_dir, write_start
from lit_humor.metrics.classification import DEFINITIONS, ClassificationMetrics
from lit_humor.reporting.report import write_report
from lit_humor.runs import record


def train(cfg: DictConfig) -> None:
    """Train, evaluate the best checkpoint and leave everything in the run folder."""
    quiet_libraries()
    resumed = None
    if cfg.resume:
        resumed, cfg = _config_to_resume(cfg)
    factory.validate(cfg)
    factory.pin_paths(cfg)
    plan = factory.build_plan(cfg, look_at_machine())
    if resumed:
        plan = replace(plan, reasons=dict.fromkeys(plan.reasons, "as before the interruption"))
    screen.show(screen.plan_table(plan))

    pretrained = factory.resolve_pretrained(cfg)
    datamodule = factory.build_datamodule(cfg.data, pretrained, cfg.seed, plan)
    datamodule.check_fit_for_training()
    report = datamodule.report()
    if resumed:
        _check_same_data(resumed, report)
    screen.show(*screen.data_tables(report))
    learner = factory.build_learner(cfg, pretrained, datamodule, class_names=datamodule.class_names, plan=plan)
    screen.show(screen.group_table(learner.parameter_groups(), cfg.optim.learning_rate, cfg.optim.lr_scale))

    run_dir = resumed or create_run_dir(cfg.paths.logs_dir, cfg.run_id, _prefix())
    screen.write_log_to(run_dir / "log.txt")
    trainer = factory.build_trainer(cfg, plan, run_dir)
    if is_main_process():
        _set_aside_metrics(run_dir)
        record.write_json(run_dir / record.DATA_REPORT, report)
        factory.save_backbone(run_dir, learner, datamodule)
        write_start(run_dir, cfg, plan.to_dict())
    screen.show(f"Run folder: {run_dir}\n")

    last = str(run_dir / record.CHECKPOINTS / record.LAST) if resumed else None
    best = run_dir / record.CHECKPOINTS / record.BEST
    with _told_how_it_ends(run_dir):
        wall, cpu = time.monotonic(), time.process_time()
        trainer.fit(learner, datamodule, ckpt_path=last, weights_only=True)
        cost = {"fit_seconds": time.monotonic() - wall, "fit_cpu_seconds": time.process_time() - cpu}
        cost["peak_memory_bytes"] = peak_memory_bytes(plan.accelerator)
        checkpoint = best if best.is_file() else None  # without that callback: the weights of the last step
        results = {split: score(trainer, learner, datamodule, split, checkpoint) for split in _scored(datamodule)}
        if trainer.is_global_zero:
            _write_result(run_dir, trainer, results, {}, cost)  # before the baseline, which may take long or fail
            baseline = _baseline(datamodule) if cfg.baseline else {}
            _write_result(run_dir, trainer, results, baseline, cost)
            _log_hyperparameters(trainer, cfg, results)
            _set_state(run_dir, record.DONE)
            for split, found in results.items():
                screen.show(*screen.result_tables(split, found, baseline.get(split)))
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
    datamodule.test_split = split
    path = None if checkpoint is None else str(checkpoint)
    trainer.test(learner, datamodule, ckpt_path=path, verbose=False, weights_only=True)
    return learner.results["test"]


def _prefix() -> str:
    """First part of a run's name: its experiment."""
    return choice("experiment") or "default"


def _check_same_data(run_dir: Path, report: Mapping[str, Any]) -> None:
    """Refuse to go on with other rows: order, class weights and embeddings belong to the old."""
    before = record.read_json(run_dir / record.DATA_REPORT)
    if report["fingerprint"] != before.get("fingerprint", report["fingerprint"]):
        raise UserError(
            f"resume={run_dir}",
            found="other texts, labels or order in the data than when this run stopped",
            expected="the same files",
            fix="bring back the files that config.yaml names, or start a new run",
        )


def _config_to_resume(cfg: DictConfig) -> tuple[Path, DictConfig]:
    """Folder and configuration of the run to go on with; this is never composed anew."""
    others = [o for o in typed_overrides() if not o.startswith(("resume=", "debug=", "hydra."))]
    if others:
        raise UserError(
            f"resume={cfg.resume}",
            found=f"other settings beside it ({', '.join(others)})",
            expected="resume alone: a run goes on with its own configuration",
            fix=f"python src/lit_humor/train.py resume={cfg.resume}",
        )
    path, saved = open_run_dir(cfg.resume)
    if (path / record.RESULT).is_file() and record.read_json(path / record.STATUS)["state"] == record.DONE:
        raise UserError(
            f"resume={cfg.resume}",
            found="a run that is done",
            expected="one that was interrupted",
            fix=f"python src/lit_humor/eval.py run={path}, or train anew with more epochs",
        )
    if not (path / record.CHECKPOINTS / record.LAST).is_file():
        raise UserError(
            f"resume={cfg.resume}",
            found="no checkpoints/last.ckpt in that run",
            expected="a run that got through an epoch or was interrupted cleanly",
            fix="start it again under another run_id",
        )
    plan = record.read_json(path / record.ENVIRONMENT)["plan"]
    for name, value in saved.trainer.items():
        if value == "auto":  # decided once: a checkpoint counts micro-batches, and another plan would skip other rows
            saved.trainer[name] = plan[name]
    return path, saved


def _set_aside_metrics(run_dir: Path) -> None:
    """Keep the metrics of the part before a resume: the CSV logger would start the file anew."""
    metrics = run_dir / record.METRICS
    if metrics.is_file():
        count = len(list(run_dir.glob("metrics.before-resume-*.csv")))
        metrics.rename(run_dir / f"metrics.before-resume-{count + 1}.csv")


@contextmanager
def _told_how_it_ends(run_dir: Path) -> Iterator[None]:
    """Write into status.json how the run ends; after Ctrl-C say how to go on."""
    try:
        yield
    except (InterruptedRun, KeyboardInterrupt, SystemExit):  # the last: how Lightning ends on a second Ctrl-C
        _set_state(run_dir, record.INTERRUPTED)
        last = run_dir / record.CHECKPOINTS / record.LAST
        told = (
            f"To go on: python src/lit_humor/train.py resume={run_dir}" if last.is_file() else "Nothing is saved yet."
        )
        screen.show(f"\nInterrupted. {told}")
        sys.exit(INTERRUPTED if is_main_process() else 0)  # a child that fails would have Lightning kill the others
    except BaseException:
        _set_state(run_dir, record.FAILED)
        raise


def _set_state(run_dir: Path, state: str) -> None:
    status = run_dir / record.STATUS
    if is_main_process() and status.is_file():
        record.write_json(status, record.read_json(status) | {"state": state, "heartbeat": time.time()})


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
    results = {}
    for split, probabilities in zip(splits, found, strict=True):
        metrics = ClassificationMetrics(datamodule.class_names, {})
        labels = torch.from_numpy(datamodule.splits[split].labels)
        everything = torch.ones(len(labels), dtype=torch.bool)
        no_slices = torch.zeros(len(labels), 0, dtype=torch.long)
        metrics.update(torch.from_numpy(probabilities).float(), labels, everything, no_slices)
        results[split] = metrics.compute()
    return results


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
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            **cost,
        },
    )


def _log_hyperparameters(trainer: pl.Trainer, cfg: DictConfig, results: Mapping[str, Any]) -> None:
    """The configuration beside the final scores, for loggers that compare runs by them."""
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    scores = {f"{split}/{name}": found[name] for split, found in results.items() for name in ("f1", "accuracy")}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(settings, {f"final/{name}": value for name, value in scores.items()})
            logger.finalize("success")


def _write_report(run_dir: Path) -> None:
    """Write the page; a run is no worse for lacking it."""
    try:
        screen.show(f"\nReport: {write_report(run_dir)}")
    except MissingExtraError as error:
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
        f"Score it again: python src/lit_humor/eval.py run={run_dir}",
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
    saved = torch.load(best, map_location="cpu", weights_only=True, mmap=True)
    return {"epoch": saved["epoch"], "step": saved["global_step"]}
