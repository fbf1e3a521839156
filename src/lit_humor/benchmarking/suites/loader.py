"""Measures time per row and memory from a file to the first batch, for ten thousand to a million rows."""

from __future__ import annotations

import csv
import gc
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.progress import track

from lit_humor.benchmarking import output
from lit_humor.benchmarking.apart import apart
from lit_humor.benchmarking.commands import data_overrides, model_overrides
from lit_humor.config.command import compose
from lit_humor.core import markdown
from lit_humor.core.batch import TRAIN
from lit_humor.engine import factory
from lit_humor.engine.machine import look_at_machine, peak_memory_bytes
from lit_humor.engine.planning import build_plan

_TIMES = ("read", "tokenize", "cached", "report", "first_batch")


def run(cfg: DictConfig) -> dict[str, Any]:
    """Measure each size in its own process; write, show and return the results."""
    runs = []
    for size in track(list(cfg.sizes), description="sizes"):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(apart(measure_size, size, [*model_overrides(), *data_overrides(cfg)], folder))
    content = {**output.describe_here(), "runs": runs}
    output.publish(cfg, "loader", content, _markdown(cfg, content))
    return content


def measure_size(size: int, overrides: Sequence[str], folder: str) -> dict[str, Any]:
    """Write a CSV of ``size`` rows and load it up to its first batch, with an empty cache and with a full one."""
    path = Path(folder) / "rows.csv"
    _write_rows(size, overrides, path)
    typed = [*overrides, "data=csv", f"data.train_path={path}", "data.test_fraction=0", f"paths.cache_dir={folder}"]
    cfg = compose(
        "train",
        [word for word in typed if not word.startswith(("data.val_path", "data.languages", "data.rows_per_split"))],
    )
    pretrained = factory.resolve_pretrained(cfg)
    plan = build_plan(cfg, look_at_machine(), pretrained)
    seconds: dict[str, float] = {}
    for first, second in (("read", "tokenize"), ("read", "cached")):
        gc.collect()
        start = time.perf_counter()
        datamodule = factory.build_datamodule(cfg, pretrained, plan)
        datamodule.load()
        loaded = time.perf_counter()
        datamodule.setup()
        seconds |= {first: loaded - start, second: time.perf_counter() - loaded}
    start = time.perf_counter()
    datamodule.report()
    seconds["report"] = time.perf_counter() - start
    start = time.perf_counter()
    next(iter(datamodule.train_dataloader()))
    seconds["first_batch"] = time.perf_counter() - start
    return {
        "rows": size,
        "tokens": int(datamodule.prepared[TRAIN].lengths.sum()),
        "seconds": seconds,
        "resident_mib": _resident_bytes() / 2**20,
        "peak_mib": peak_memory_bytes("cpu") / 2**20,
    }


def _write_rows(size: int, overrides: Sequence[str], path: Path) -> None:
    """Write texts of the data set in random order, each with a number that makes it unique."""
    cfg = compose("train", overrides)
    examples = factory.build_datamodule(cfg, factory.resolve_pretrained(cfg), None).load()[TRAIN]
    picked = np.random.default_rng(0).integers(len(examples), size=size)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "is_humor"))
        writer.writerows((f"{examples.texts[row]} {n}", examples.labels[row]) for n, row in enumerate(picked))


def _resident_bytes() -> int:
    gc.collect()
    return 1024 * int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


def _markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    lines = [
        f"# {output.title('From a file to the first batch', cfg)}",
        "",
        output.command_line(),
        "- A CSV of texts of the data set, each with a number appended. Microseconds per row: read = read and check "
        "the file, split off 10 %; tokenize = with an empty cache; cached = the same again; report = counts.",
        "- First batch: milliseconds from the loader to the first batch. Memory: of the process after all of it.",
        output.machine_line(content["machine"]),
        output.commit_line([content]),
        "",
    ]
    header = ["rows", *(f"{name.replace('_', ' ')}, us/row" for name in _TIMES[:-1]), "first batch, ms"]
    rows = []
    for run in content["runs"]:
        per_row = [f"{run['seconds'][name] / run['rows'] * 1e6:.1f}" for name in _TIMES[:-1]]
        first = f"{run['seconds']['first_batch'] * 1e3:.0f}"
        rows.append([f"{run['rows']:,}", *per_row, first, f"{run['resident_mib']:.0f}", f"{run['peak_mib']:.0f}"])
    return "\n".join(lines + markdown.table([*header, "resident MiB", "peak MiB"], rows)) + "\n"
