"""Whole trainings of the same model on the same rows: train.py, the Hugging Face Trainer, plain PyTorch."""

from __future__ import annotations

import csv
import multiprocessing
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.progress import track

from lit_humor.benchmarking import output
from lit_humor.benchmarking.commands import data_overrides, model_overrides, train
from lit_humor.benchmarking.peer_trainers import PEERS, RAW, train_peer
from lit_humor.benchmarking.plots import bars
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.engine import screen
from lit_humor.engine.cli import choice
from lit_humor.runs import record

OURS, HF_DEFAULT, HF_BEST, HF_FIXED = "train.py", "hf_default", "hf_best", "hf_fixed_padding"


def run_peers(cfg: DictConfig) -> dict[str, Any]:
    """Train with everyone, ``repeats`` times, interleaved; write and show the table; return what was written.

    Raises:
        UserError: A training failed, or the extra is missing.
    """
    try:
        import accelerate  # noqa: F401  # what the Hugging Face Trainer needs
    except ImportError:
        raise MissingExtraError("suite=peers", package="accelerate", extra="bench") from None
    epochs = cfg.max_epochs or 1
    names = [OURS, *PEERS]
    screen.show(f"{len(names)} trainers x {cfg.repeats} repeats x {epochs} epochs, interleaved: {', '.join(names)}")
    runs: list[dict[str, Any]] = []
    if not cfg.seeds:
        raise UserError("seeds", found="none", expected="one or more", fix="set seeds=[1,2,3]")
    for repeat in track(range(cfg.repeats), description="repeats"):
        seed = cfg.seeds[repeat % len(cfg.seeds)]
        runs.append(_ours(cfg, epochs, seed))
        for name in PEERS:
            overrides = [*model_overrides(), *data_overrides(cfg), f"seed={seed}"]
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                runs.append(pool.submit(train_peer, name, overrides, epochs).result())
    content = {
        **{**output.describe_here(), "epochs": epochs, "runs": runs, "ratios": _ratios(runs)},
        "overhead_ms_per_step": _overhead_ms(runs),
    }
    text = _markdown(cfg, content)
    theme = output.file_name(f"peers_{cfg.name or _data_name(cfg)}_{choice('model')}", content["machine"])
    output.write(cfg.output, theme, content, text)
    seconds = {name: _seconds(runs, name) for name in names}
    bars(Path(cfg.output) / f"{theme}.png", seconds, "seconds of training (median and range)", _title(cfg))
    screen.show(text)
    return content


def _title(cfg: DictConfig) -> str:
    data = Path(cfg.train_path).name if cfg.train_path else "embedded corpus, English"
    return f"Trainers: {choice('model')}, {data}"


def _data_name(cfg: DictConfig) -> str:
    return Path(cfg.train_path).absolute().parent.name if cfg.train_path else "corpus"


def _ours(cfg: DictConfig, epochs: int, seed: int) -> dict[str, Any]:
    """Train with train.py and its defaults, but for the number of epochs."""
    run_id = f"bench-peers-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = Path(cfg.paths.logs_dir) / run_id
    chosen = [f"seed={seed}", f"trainer.max_epochs={epochs}", "baseline=false", f"paths.logs_dir={cfg.paths.logs_dir}"]
    start = time.perf_counter()
    train(run_id, [*chosen, *model_overrides(), *data_overrides(cfg)])
    wall = time.perf_counter() - start
    result = record.read_json(folder / record.RESULT)
    with (folder / record.METRICS).open(newline="") as file:
        seconds = sum(float(row["time/train_seconds"] or 0) for row in csv.DictReader(file))
    found = result["results"]["val"]
    plan = record.read_json(folder / record.ENVIRONMENT)["plan"]
    shutil.rmtree(folder)
    return {
        **{"name": OURS, "seed": seed, "seconds": seconds, "wall_seconds": wall, "steps": result["steps"]},
        **{"f1": found["f1"], "accuracy": found["accuracy"], "precision": plan["precision"]},
        "peak_memory_mib": result["peak_memory_bytes"] / 2**20,
    }


def _seconds(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [run["seconds"] for run in runs if run["name"] == name]


def _ratios(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How many times faster than its peers train.py is: medians of the ratios within a repeat."""

    def ratio(name: str) -> float:
        pairs = zip(_seconds(runs, name), _seconds(runs, OURS), strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    names = {"ours_vs_hf_default": HF_DEFAULT, "ours_vs_hf_best": HF_BEST, "ours_vs_fixed_padding": HF_FIXED}
    return {key: ratio(name) for key, name in names.items()}


def _overhead_ms(runs: Sequence[Mapping[str, Any]]) -> float:
    """What a step of train.py takes longer than one of the raw loop: median of the differences within a repeat."""
    pairs = zip(_seconds(runs, OURS), _seconds(runs, RAW), strict=True)
    return 1e3 * statistics.median(ours - raw for ours, raw in pairs) / runs[0]["steps"]


def _markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    runs = content["runs"]
    typed = "train_path=<train> val_path=<val> " if cfg.train_path else ""
    ours = statistics.median(_seconds(runs, OURS))
    lines = [
        f"# {_title(cfg)}",
        "",
        f"- Command: `python src/lit_humor/bench.py suite=peers model={choice('model')} {typed}repeats={cfg.repeats} "
        f"max_epochs={content['epochs']}`",
        f"- Epochs: {content['epochs']}; batches of 32 rows, the same rows, learning rate, number of steps; "
        "seconds are those of the training steps, without start, validation and saving; median of the repeats, range "
        "in brackets; every training in a process of its own.",
        "- hf_default: Hugging Face Trainer as it comes (fp32, padded per batch, fused AdamW). hf_best: "
        "with rows of like length, and bf16 where the machine has it. hf_fixed_padding: hf_default with every row "
        "padded to 128. pytorch: a loop of twenty lines. These four without class weights, smoothing and layer decay.",
        "- raw_loop: the steps of train.py without Lightning, callbacks and logging; train.py takes "
        f"{content['overhead_ms_per_step']:.2f} ms a step more (median over the repeats).",
        output.machine_line(content["machine"], runs[0]["precision"]),
        output.commit_line([content]),
        "",
    ]
    header = ["trainer", "train seconds", "train.py is x faster", "steps", "F1 of humor", "accuracy", "peak MiB"]
    rows = []
    for name in dict.fromkeys(run["name"] for run in runs):
        mine = [run for run in runs if run["name"] == name]
        seconds = [run["seconds"] for run in mine]
        cells = [name, output.median_range(seconds, 1), f"{statistics.median(seconds) / ours:.2f}"]
        cells += [str(mine[0]["steps"])]
        cells += [output.mean_sd([run[key] for run in mine], 3) for key in ("f1", "accuracy")]
        rows.append([*cells, f"{statistics.median(run['peak_memory_mib'] for run in mine):.0f}"])
    return "\n".join(lines + output.table(header, rows)) + "\n"
