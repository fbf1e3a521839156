"""Measures rows per second of evaluation, with a plain network and as in eval.py."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig
from rich.progress import track

from lit_humor.benchmarking import output
from lit_humor.benchmarking.commands import data_overrides, model_overrides
from lit_humor.benchmarking.raw_step import build
from lit_humor.benchmarking.suites.ladder import PLAIN
from lit_humor.core import markdown
from lit_humor.core.batch import TRAIN
from lit_humor.data.batches.batching import GlobalBatchSampler
from lit_humor.engine.abilities import synchronise

_ROWS = 1024
_WAYS = (  # name, overrides, whether rows are sorted by length
    ("plain network, rows in order", (*PLAIN, "data.padding=longest"), False),
    ("plain network, sorted by length", (*PLAIN, "data.padding=longest"), True),
    ("default network, sorted by length", (), True),
)


def run(cfg: DictConfig) -> dict[str, Any]:
    """Evaluate the first training rows in each way, interleaved; write and show the table."""
    ways: dict[str, dict[str, Any]] = {name: {"seconds": []} for name, _, _ in _WAYS}
    for _ in track(range(cfg.repeats), description="repeats"):
        for name, overrides, is_sorted in _WAYS:
            measured = _measure([*model_overrides(), *data_overrides(cfg), *overrides], is_sorted)
            ways[name]["seconds"].append(measured.pop("seconds"))
            ways[name] |= measured
    content = {**output.describe_here(), "ways": ways}
    output.publish(cfg, "infer", content, _markdown(cfg, content))
    return content


def _measure(overrides: Sequence[str], is_sorted: bool) -> dict[str, Any]:
    """Seconds, rows, batch and precision of one pass over ``_ROWS`` rows."""
    setup = build(overrides)
    model = setup.learner.eval().model
    lengths, rows = setup.datamodule.prepared[TRAIN].lengths[:_ROWS], setup.cfg.data.eval_batch_size
    batches = [list(range(start, min(start + rows, len(lengths)))) for start in range(0, len(lengths), rows)]
    if is_sorted:
        batches = list(GlobalBatchSampler(lengths, global_batch_size=rows, micro_batch_size=rows, seed=None))
    collate = setup.datamodule.train_dataloader().collate_fn
    with torch.inference_mode(), setup.autocast():
        model(setup.take(collate(max(batches, key=lambda batch: lengths[batch].max()))))
        synchronise(setup.device)
        start_time = time.perf_counter()
        for batch in batches:
            model(setup.take(collate(batch)))
        synchronise(setup.device)
        seconds = time.perf_counter() - start_time
    return {"seconds": seconds, "rows": len(lengths), "batch_rows": rows, "precision": setup.plan.precision}


def _markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    first = next(iter(content["ways"].values()))
    lines = [
        f"# {output.title('Scoring', cfg)}",
        "",
        output.command_line(),
        f"- {first['rows']} rows, {first['batch_rows']} a batch, padded to the longest of a batch; forward passes and "
        "making the batches; interleaved, median of the repeats, range in brackets.",
        output.machine_line(content["machine"]),
        output.commit_line([content]),
        "",
    ]
    base = statistics.median(first["seconds"])
    rows = []
    for name, way in content["ways"].items():
        pace = markdown.median_range([way["rows"] / value for value in way["seconds"]], 0)
        rows.append([name, way["precision"], pace, f"{base / statistics.median(way['seconds']):.2f}"])
    return "\n".join(lines + markdown.table(["way", "precision", "rows/s", "x in order"], rows)) + "\n"
