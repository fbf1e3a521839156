"""The recipes against one another, as whole trainings typed the way a user types them."""

from __future__ import annotations

import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.core.errors import UserError
from lit_humor.engine import screen
from lit_humor.engine.rundir import ROOT_DIR
from lit_humor.runs import record

METRICS = ("accuracy", "f1", "f1_macro", "f1_weighted", "mcc", "auroc", "calibration_error")


def run_recipes(cfg: DictConfig) -> None:
    """Train every recipe with every seed, one after the other, seed by seed; write Markdown and JSON.

    Raises:
        UserError: No data is named, or a training fails.
    """
    for key in ("train_path", "val_path"):
        if not cfg[key] or not Path(cfg[key]).is_file():
            raise UserError(key, found=str(cfg[key]), expected="a file", fix=f"set {key}=<csv>")
    name = cfg.name or Path(cfg.train_path).absolute().parent.name
    todo = [(seed, experiment) for seed in cfg.seeds for experiment in cfg.experiments]
    screen.show(f"{len(todo)} trainings: " + ", ".join(f"{experiment} seed {seed}" for seed, experiment in todo))
    runs: list[dict[str, Any]] = []
    for seed, experiment in todo:
        runs.append(_measure(cfg, name, experiment, seed))
        _write(cfg, name, runs)  # after every run, so that nothing measured is lost
    screen.show((Path(cfg.output) / _file_name(cfg, name, runs, "md")).read_text())


def _measure(cfg: DictConfig, name: str, experiment: str, seed: int) -> dict[str, Any]:
    run_id = f"bench-{name}-{cfg.model}-{experiment}-{cfg.max_epochs or 'all'}-epochs-seed-{seed}"
    folder = Path(cfg.paths.logs_dir) / run_id
    if not (folder / record.RESULT).is_file():
        if folder.exists():  # a run that did not finish
            folder.rename(folder.with_name(f"{run_id}-unfinished-{int(time.time())}"))
        _train(cfg, run_id, experiment, seed)
    saved = OmegaConf.load(folder / record.CONFIG)
    asked = [os.path.abspath(path) for path in (cfg.train_path, cfg.val_path)]
    if [saved.data.train_path, saved.data.val_path] != asked:
        raise UserError(
            str(folder),
            found=f"a run on other data ({saved.data.train_path})",
            expected=f"one on {cfg.train_path}",
            fix="set name=<another name of the data>",
        )
    result = record.read_json(folder / record.RESULT)
    environment = record.read_json(folder / record.ENVIRONMENT)
    found = result["results"]["val"]
    return {
        "experiment": experiment,
        "seed": seed,
        **{metric: found[metric] for metric in METRICS},
        "epochs": result["epochs"],
        "epochs_to_best": result["best"]["epoch"] + 1,
        "epoch_seconds": _epoch_seconds(folder / record.METRICS),
        "cpu_seconds_per_epoch": result["fit_cpu_seconds"] / result["epochs"],
        "peak_memory_mib": result["peak_memory_bytes"] / 2**20,
        "baseline": {metric: result["baseline"]["results"]["val"][metric] for metric in METRICS},
        "rows": found["rows"],
        "commit": environment["commit"],
        "dirty": bool(environment["uncommitted"]),
        "machine": {name: environment["machine"][name] for name in ("processor", "threads", "gpus")},
        "precision": environment["plan"]["precision"],
    }


def _epoch_seconds(metrics: Path) -> list[float]:
    with metrics.open(newline="") as file:
        return [float(row["time/epoch_seconds"]) for row in csv.DictReader(file) if row["time/epoch_seconds"]]


def _train(cfg: DictConfig, run_id: str, experiment: str, seed: int) -> None:
    command = [
        sys.executable,
        str(ROOT_DIR / "src" / "lit_humor" / "train.py"),
        *(f"experiment={experiment}", f"model={cfg.model}", f"seed={seed}", f"run_id={run_id}"),
        *(
            "data=csv",
            f"data.train_path={cfg.train_path}",
            f"data.val_path={cfg.val_path}",
            "data.test_fraction=0",
            f"paths.logs_dir={cfg.paths.logs_dir}",
        ),
        *([f"trainer.max_epochs={cfg.max_epochs}"] if cfg.max_epochs else []),
    ]
    screen.show(f"\n{experiment}, seed {seed}: {Path(cfg.paths.logs_dir) / run_id}")
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise UserError(run_id, found=done.stderr[-2000:], expected="a training that ends well", fix="see its log.txt")


def _file_name(cfg: DictConfig, name: str, runs: Sequence[dict[str, Any]], ending: str) -> str:
    gpus = runs[0]["machine"]["gpus"]
    hardware = gpus[0].replace(" ", "-").lower() if gpus else "cpu"
    return f"recipes_{name}_{cfg.model}_{hardware}_{time.strftime('%Y%m')}.{ending}"


def _write(cfg: DictConfig, name: str, runs: list[dict[str, Any]]) -> None:
    folder = Path(cfg.output)
    record.write_json(folder / _file_name(cfg, name, runs, "json"), runs)
    record.write_text(folder / _file_name(cfg, name, runs, "md"), markdown(cfg, name, runs))


def markdown(cfg: DictConfig, name: str, runs: Sequence[dict[str, Any]]) -> str:
    """The table with everything that is needed to measure it again."""
    first = runs[0]
    machine = first["machine"]
    seeds = " ".join(str(seed) for seed in cfg.seeds)
    epochs = f"{cfg.max_epochs} epochs" if cfg.max_epochs else "the recipe's own epochs"
    commits = sorted({run["commit"][:12] + (" with local changes" if run["dirty"] else "") for run in runs})
    lines = [
        f"# Recipes on {name} with {cfg.model}",
        "",
        f"- Command: `python src/lit_humor/bench.py suite=recipes model={cfg.model} train_path=<train> val_path=<val>"
        + (f" max_epochs={cfg.max_epochs}`" if cfg.max_epochs else "`"),
        f"- Data: {Path(cfg.train_path).name} for training, {first['rows']} rows of {Path(cfg.val_path).name} "
        "for the numbers; these rows also choose the best epoch, so all numbers flatter a little.",
        f"- {epochs}; seeds {seeds}; mean ± standard deviation over the seeds that are there; f1 is that of humor.",
        f"- Machine: {machine['processor']}, {machine['threads']} threads, "
        f"GPUs: {', '.join(machine['gpus']) or 'none'}; precision {first['precision']}.",
        "- s / epoch: wall time of an epoch with its validation, median over all epochs of all seeds; CPU-s: CPU "
        "seconds of the fit over its epochs, median over the seeds: compare these where other work shared the machine.",
        f"- Commit: {', '.join(commits)}; {time.strftime('%Y-%m-%d')}.",
        "",
        "| recipe | seeds | " + " | ".join(METRICS) + " | epochs to best | s / epoch | CPU-s / epoch | peak MiB |",
        "|---" * (len(METRICS) + 6) + "|",
    ]
    for experiment in cfg.experiments:
        rows = [run for run in runs if run["experiment"] == experiment]
        if rows:
            cells = [_mean_sd([run[metric] for run in rows], 3) for metric in METRICS]
            cells += [_mean_sd([run["epochs_to_best"] for run in rows], 1)]
            cells += [f"{statistics.median(second for run in rows for second in run['epoch_seconds']):.0f}"]
            cells += [
                f"{statistics.median(run[key] for run in rows):.0f}"
                for key in ("cpu_seconds_per_epoch", "peak_memory_mib")
            ]
            lines.append(f"| {experiment} | {len(rows)} | " + " | ".join(cells) + " |")
    baseline = [f"{first['baseline'][metric]:.3f}" for metric in METRICS]
    lines.append("| TF-IDF + logistic regression | | " + " | ".join(baseline) + " | | | | |")
    return "\n".join(lines) + "\n"


def _mean_sd(values: Sequence[float], digits: int) -> str:
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"
