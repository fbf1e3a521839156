"""Compares the recipes by whole trainings, with the commands of a user."""

from __future__ import annotations

import os
import shlex
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.benchmarking import output
from lit_humor.benchmarking.commands import data_overrides, model_overrides, train
from lit_humor.config.command import choice, compose
from lit_humor.core import markdown
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import free_path, nearest_file
from lit_humor.runs import record, screen

METRICS = ("accuracy", "f1", "f1_macro", "f1_weighted", "mcc", "auroc", "calibration_error")


def run(cfg: DictConfig) -> None:
    """Train each recipe with each seed, one after another; write Markdown and JSON.

    Raises:
        UserError: No data is named, or a training fails.
    """
    for key in ("train_path", "val_path"):
        if not cfg[key] or not Path(cfg[key]).is_file():
            nearest = nearest_file(Path(cfg[key])) if cfg[key] else None
            fix = (
                f"did you mean '{nearest}'?"
                if nearest
                else f"set {key}=<file>, which ends in .csv, .tsv, .jsonl or .parquet"
            )
            raise UserError(key, found=str(cfg[key]), expected="a file", fix=fix)
    todo = [(seed, experiment) for seed in cfg.seeds for experiment in cfg.experiments]
    screen.show(f"{len(todo)} trainings: " + ", ".join(f"{experiment} seed {seed}" for seed, experiment in todo))
    runs: list[dict[str, Any]] = []
    for seed, experiment in todo:
        runs.append(_measure(cfg, experiment, seed))
        text = _markdown(cfg, runs)
        output.write(cfg, "recipes", runs[0]["machine"], runs, text)  # after every run, so that no result is lost
    screen.show(text)


def _measure(cfg: DictConfig, experiment: str, seed: int) -> dict[str, Any]:
    run_id = (
        f"bench-{output.data_name(cfg)}-{choice('model')}-{experiment}-{cfg.max_epochs or 'all'}-epochs-seed-{seed}"
    )
    folder = Path(cfg.paths.logs_dir) / run_id
    epochs = [f"trainer.max_epochs={cfg.max_epochs}"] if cfg.max_epochs else []
    chosen = [f"experiment={experiment}", f"seed={seed}", f"paths.logs_dir={cfg.paths.logs_dir}", *epochs]
    chosen += [*model_overrides(), *data_overrides(cfg)]
    status = folder / record.STATUS
    if not status.is_file() or record.read_json(status)["state"] != record.DONE:
        if folder.exists():  # a run that did not finish
            folder.rename(folder.with_name(f"{run_id}-unfinished-{int(time.time())}"))
        screen.show(f"\n{experiment}, seed {seed}: {folder}")
        train(run_id, chosen)
    environment = record.read_json(folder / record.ENVIRONMENT)
    _check_same_run(cfg, folder, compose("train", chosen), environment["commit"])
    result = record.read_json(folder / record.RESULT)
    scores = result["results"]["val"]
    return {
        "experiment": experiment,
        "seed": seed,
        **{metric: scores[metric] for metric in METRICS},
        "epochs": result["epochs"],
        "epochs_to_best": result["best"]["epoch"] + 1,
        "epoch_seconds": _epoch_seconds(folder),
        "cpu_seconds_per_epoch": result["fit_cpu_seconds"] / result["epochs"],
        "peak_memory_mib": result["peak_memory_bytes"] / 2**20,
        "baseline": {metric: result["baseline"]["results"]["val"][metric] for metric in METRICS},
        "rows": scores["rows"],
        "commit": environment["commit"],
        "dirty": bool(environment["uncommitted"]),
        "machine": {name: environment["machine"][name] for name in ("processor", "threads", "gpus")},
        "precision": environment["plan"]["precision"],
    }


def _epoch_seconds(folder: Path) -> list[float]:
    return [float(row["time/epoch_seconds"]) for row in record.read_metrics(folder) if row["time/epoch_seconds"]]


def _check_same_run(cfg: DictConfig, folder: Path, wanted: DictConfig, commit: str) -> None:
    """Refuse a finished run of the same name with other code, data or network.

    Raises:
        UserError: The run differs; names what differs.
    """
    saved, here = OmegaConf.load(folder / record.CONFIG), output.describe_here()["commit"]
    pairs = {
        "code": (commit, here),
        "data": tuple(
            [os.path.abspath(config.data[key] or "") for key in ("train_path", "val_path")]
            for config in (saved, wanted)
        ),
        "network": tuple(OmegaConf.to_container(config.model.network, resolve=True) for config in (saved, wanted)),
    }
    for what, (found, expected) in pairs.items():
        if found != expected:
            raise UserError(
                str(folder),
                found=f"a run with other {what} ({found})",
                expected=str(expected),
                fix=f"set name={output.data_name(cfg)}-2, or {shlex.join(['mv', str(folder), str(free_path(folder))])}",
            )


def _markdown(cfg: DictConfig, runs: Sequence[dict[str, Any]]) -> str:
    """Return the table, with all that is needed to repeat the measurement, as Markdown."""
    first = runs[0]
    seeds = " ".join(str(seed) for seed in cfg.seeds)
    epochs = f"{cfg.max_epochs} epochs" if cfg.max_epochs else "the recipe's own epochs"
    lines = [
        f"# {output.title('Recipes', cfg)}",
        "",
        output.command_line(),
        f"- Data: {Path(cfg.train_path).name} for training, {first['rows']} rows of {Path(cfg.val_path).name} "
        "for the numbers; these rows also choose the best epoch, so all scores are slightly too good.",
        f"- {epochs}; seeds {seeds}; mean ± standard deviation over the finished seeds; f1 is that of humor.",
        output.machine_line(first["machine"]) + f" Precision {first['precision']}.",
        "- s / epoch: wall time of an epoch with its validation, median over all epochs of all seeds; CPU-s: CPU "
        "seconds of the fit over its epochs, median over the seeds: compare these where other work shared the machine.",
        output.commit_line(runs),
        "",
    ]
    header = ["recipe", "seeds", *METRICS, "epochs to best", "s / epoch", "CPU-s / epoch", "peak MiB"]
    table_rows = []
    for experiment in cfg.experiments:
        rows = [run for run in runs if run["experiment"] == experiment]
        if rows:
            cells = [markdown.mean_sd([run[metric] for run in rows], 3) for metric in METRICS]
            cells += [markdown.mean_sd([run["epochs_to_best"] for run in rows], 1)]
            cells += [f"{statistics.median(second for run in rows for second in run['epoch_seconds']):.0f}"]
            cells += [
                f"{statistics.median(run[key] for run in rows):.0f}"
                for key in ("cpu_seconds_per_epoch", "peak_memory_mib")
            ]
            table_rows.append([experiment, str(len(rows)), *cells])
    baseline = [f"{first['baseline'][metric]:.3f}" for metric in METRICS]
    table_rows.append(["TF-IDF + logistic regression", "", *baseline, "", "", "", ""])
    return "\n".join(lines + markdown.table(header, table_rows)) + "\n"
