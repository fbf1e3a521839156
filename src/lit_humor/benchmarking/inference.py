"""Rows a second of scoring, plain and as eval.py does it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.progress import track

from lit_humor.benchmarking import output
from lit_humor.benchmarking.commands import data_overrides, model_overrides
from lit_humor.benchmarking.ladder import PLAIN
from lit_humor.benchmarking.stepping import build, synchronise
from lit_humor.core.batch import TRAIN
from lit_humor.data.batching import WindowSampler
from lit_humor.engine import screen
from lit_humor.engine.cli import choice

_ROWS = 1024
_WAYS = (  # name, overrides, whether rows are sorted by length
    ("in order, fp32", (*PLAIN, "data.padding=longest"), False),
    ("sorted by length", (*PLAIN, "data.padding=longest"), True),
    ("as eval.py", (), True),
)


def run_inference(cfg: DictConfig) -> dict[str, Any]:
    """Score the first rows of the training split in every way, interleaved; write and show the table."""
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in _WAYS}
    num_rows, precision = 0, ""
    for _ in track(range(cfg.repeats), description="repeats"):
        for name, overrides, is_sorted in _WAYS:
            typed = [*model_overrides(), *data_overrides(cfg), *overrides]
            passed, num_rows, precision = _measure(typed, is_sorted)
            seconds[name].append(passed)
    content = {**output.describe_here(), "rows": num_rows, "seconds": seconds, "precision": precision}
    text = _markdown(cfg, content)
    theme = f"infer_{cfg.name or 'corpus'}_{choice('model')}"
    output.write(cfg.output, output.file_name(theme, content["machine"]), content, text)
    screen.show(text)
    return content


def _measure(overrides: Sequence[str], is_sorted: bool) -> tuple[float, int, str]:
    """Seconds, rows and precision of one pass over ``_ROWS`` rows."""
    setup = build(overrides)
    model = setup.learner.eval().model
    lengths, rows = setup.datamodule.tokens[TRAIN].lengths[:_ROWS], setup.cfg.data.eval_batch_size
    batches = [list(range(start, min(start + rows, len(lengths)))) for start in range(0, len(lengths), rows)]
    if is_sorted:
        batches = list(WindowSampler(lengths, window_size=rows, micro_batch_size=rows, seed=None))
    collate = setup.datamodule.train_dataloader().collate_fn
    with torch.inference_mode(), setup.autocast():
        model(setup.take(collate(batches[-1])))
        synchronise(setup.device)
        start_time = time.perf_counter()
        for batch in batches:
            model(setup.take(collate(batch)))
        synchronise(setup.device)
        return time.perf_counter() - start_time, len(lengths), setup.plan.precision


def _markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    data = f"{Path(cfg.train_path).name}" if cfg.train_path else "embedded corpus, English"
    typed = "train_path=<train> " if cfg.train_path else ""
    lines = [
        f"# Scoring: {choice('model')}, {data}",
        "",
        f"- Command: `python src/lit_humor/bench.py suite=infer model={choice('model')} {typed}repeats={cfg.repeats}`",
        f"- {content['rows']} rows, 64 a batch, padded to the longest of a batch; interleaved, median of the repeats, "
        "range in brackets.",
        output.machine_line(content["machine"], content["precision"]),
        output.commit_line([content]),
        "",
    ]
    base = statistics.median(next(iter(content["seconds"].values())))
    rows = []
    for name, seconds in content["seconds"].items():
        pace = output.median_range([content["rows"] / value for value in seconds], 0)
        rows.append([name, pace, f"{base / statistics.median(seconds):.2f}"])
    return "\n".join(lines + output.table(["way", "rows/s", "x in order"], rows)) + "\n"
