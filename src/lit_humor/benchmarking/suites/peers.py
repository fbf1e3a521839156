"""Compares whole trainings of the same model on the same rows: train.py, Hugging Face Trainer, plain PyTorch."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.progress import track

from lit_humor.benchmarking import output
from lit_humor.benchmarking.commands import data_overrides, model_overrides, run_apart, train
from lit_humor.benchmarking.peer_trainers import PEERS, RAW
from lit_humor.benchmarking.plots import bars
from lit_humor.core import markdown
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.runs import record, screen

_TO_THE_END = ("callbacks.early_stopping=null", "callbacks.best_checkpoint=null")
OURS, HF_DEFAULT, HF_BEST, HF_FIXED = "train.py", "hf_default", "hf_best", "hf_fixed_padding"


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train with each trainer ``repeats`` times, interleaved; write, show and return the results.

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
        # All epochs with the whole schedule, and the weights of the last step, as the other trainers do.
        whole = (f"trainer.max_epochs={epochs}", f"trainer.schedule_epochs={epochs}", *_TO_THE_END)
        overrides = [*model_overrides(), *data_overrides(cfg), f"seed={seed}", *whole]
        # Every second repeat in reverse order: a machine that slows down affects all trainers in the same way.
        for name in names if repeat % 2 == 0 else reversed(names):
            runs.append(_ours(cfg, overrides) if name == OURS else _peer(name, overrides))
    content = {
        **{**output.describe_here(), "epochs": epochs, "runs": runs, "ratios": _ratios(runs)},
        "overhead_ms_per_step": _overheads_ms(runs),
    }
    path = output.publish(cfg, "peers", content, _markdown(cfg, content))
    seconds = {name: _seconds(runs, name) for name in names}
    bars(path.with_suffix(".png"), seconds, "seconds of training (median and range)", output.title("Trainers", cfg))
    return content


def _ours(cfg: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Train with train.py and its defaults, except what the comparison needs."""
    run_id = f"bench-peers-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = Path(cfg.paths.logs_dir) / run_id
    start = time.perf_counter()
    train(run_id, [*overrides, "baseline=false", f"paths.logs_dir={cfg.paths.logs_dir}"])
    wall = time.perf_counter() - start
    result = record.read_json(folder / record.RESULT)
    seconds = sum(float(row["time/train_seconds"] or 0) for row in record.read_metrics(folder))
    scores = result["results"]["val"]
    plan = record.read_json(folder / record.ENVIRONMENT)["plan"]
    shutil.rmtree(folder)
    return {
        **{"name": OURS, "seconds": seconds, "wall_seconds": wall, "steps": result["steps"]},
        **{"f1": scores["f1"], "accuracy": scores["accuracy"], "precision": plan["precision"]},
        "peak_memory_mib": result["peak_memory_bytes"] / 2**20,
    }


def _peer(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Train with another trainer, in a process started like train.py: in a process pool the same steps took longer."""
    printed = run_apart([sys.executable, "-m", "lit_humor.benchmarking.peer_trainers", name, *overrides], name)
    return json.loads(printed.splitlines()[-1])


def _seconds(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [run["seconds"] for run in runs if run["name"] == name]


def _ratios(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how many times faster than others train.py is: medians of the ratios within a repeat."""

    def ratio(name: str) -> float:
        pairs = zip(_seconds(runs, name), _seconds(runs, OURS), strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    names = {"ours_vs_hf_default": HF_DEFAULT, "ours_vs_hf_best": HF_BEST, "ours_vs_fixed_padding": HF_FIXED}
    return {key: ratio(name) for key, name in names.items()}


def _overheads_ms(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the additional milliseconds of a step of train.py, compared with the raw loop, for each repeat."""
    pairs = zip(_seconds(runs, OURS), _seconds(runs, RAW), strict=True)
    return [1e3 * (ours - raw) / runs[0]["steps"] for ours, raw in pairs]


def _markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    runs = content["runs"]
    ours = statistics.median(_seconds(runs, OURS))
    lines = [
        f"# {output.title('Trainers', cfg)}",
        "",
        output.command_line(),
        f"- Epochs: {content['epochs']}; batches of 32 rows, the same rows, learning rate, number of steps; "
        "seconds are those of the training steps, without start, validation and saving; median of the repeats, range "
        "in brackets; each training in its own process; the order of the trainers is reversed in every second repeat.",
        "- hf_default: Hugging Face Trainer with its defaults (fp32, padded per batch, fused AdamW). hf_best: "
        "with rows of similar length, and bf16 if that is faster on this machine. hf_fixed_padding: hf_default with "
        "every row padded to 128. pytorch: a loop of twenty lines. These four train without class weights, smoothing "
        "and layer decay.",
        "- raw_loop: the steps of train.py without Lightning, callbacks and logging; train.py takes "
        f"{markdown.median_range(content['overhead_ms_per_step'], 2)} ms longer for each step.",
        output.machine_line(content["machine"]),
        output.commit_line([content]),
        "",
    ]
    header = [
        "trainer",
        "precision",
        "train seconds",
        "train.py is x faster",
        "steps",
        "F1 of humor",
        "accuracy",
        "peak MiB",
    ]
    rows = []
    for name in (OURS, *PEERS):
        mine = [run for run in runs if run["name"] == name]
        seconds = [run["seconds"] for run in mine]
        cells = [
            name,
            mine[0]["precision"],
            markdown.median_range(seconds, 1),
            f"{statistics.median(seconds) / ours:.2f}",
        ]
        cells += [str(mine[0]["steps"])]
        cells += [markdown.mean_sd([run[key] for run in mine], 3) for key in ("f1", "accuracy")]
        rows.append([*cells, f"{statistics.median(run['peak_memory_mib'] for run in mine):.0f}"])
    return "\n".join(lines + markdown.table(header, rows)) + "\n"
