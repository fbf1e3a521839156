"""Measures the seconds from the command to the first training step, compared with imports of the same packages."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.progress import track

from lit_humor.benchmarking import output
from lit_humor.benchmarking.commands import data_overrides, model_overrides, train_command
from lit_humor.core import markdown
from lit_humor.core.errors import UserError
from lit_humor.runs import record

_PEER = "import torch, lightning.pytorch, transformers"
_POLL_SECONDS = 0.01


def run(cfg: DictConfig) -> dict[str, Any]:
    """Start ``repeats`` times with an empty cache, with a full cache, and with imports only; interleaved."""
    seconds: dict[str, list[float]] = {"imports alone": [], "empty cache": [], "full cache": []}
    subprocess.run([sys.executable, "-c", _PEER], check=True)  # warm-up: the first import reads the disk
    for _ in track(range(cfg.repeats), description="repeats"):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", _PEER], check=True)
            seconds["imports alone"].append(time.perf_counter() - start)
            for name in ("empty cache", "full cache"):
                seconds[name].append(_seconds_to_training(cfg, Path(folder), name.replace(" ", "-")))
    content = {**output.describe_here(), "seconds": seconds}
    output.publish(cfg, "start", content, _markdown(cfg, content))
    return content


def _seconds_to_training(cfg: DictConfig, folder: Path, run_id: str) -> float:
    """Start train.py, wait for the status that it writes before its first step, and end it; return the seconds.

    Raises:
        UserError: The training does not start.
    """
    where = [f"paths.logs_dir={folder}", f"paths.cache_dir={folder / 'cache'}", "baseline=false"]
    command = train_command(run_id, [*where, *model_overrides(), *data_overrides(cfg)])
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while not (folder / run_id / record.STATUS).is_file():
            if process.poll() is not None:
                message = process.stderr.read()[-2000:] if process.stderr else ""
                fix = f"run it alone and correct what it reports: {shlex.join(command)}"
                raise UserError(run_id, found=message, expected="a training that starts", fix=fix)
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()


def _markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    lines = [
        f"# {output.title('From the command to the first step', cfg)}",
        "",
        output.command_line(),
        "- Cache: tokenized texts and other files that an earlier run has left in paths.cache_dir. After a warm-up.",
        f"- Imports alone: `python -c '{_PEER}'`. The others: until train.py is about to take its first step. "
        "Interleaved; median of the repeats, range in brackets.",
        output.machine_line(content["machine"]),
        output.commit_line([content]),
        "",
    ]
    bare = sorted(content["seconds"]["imports alone"])[len(content["seconds"]["imports alone"]) // 2]
    rows = []
    for name, seconds in content["seconds"].items():
        middle = sorted(seconds)[len(seconds) // 2]
        rows.append([name, markdown.median_range(seconds, 1), f"{middle / bare:.2f}"])
    return "\n".join(lines + markdown.table(["what", "seconds", "x imports alone"], rows)) + "\n"
