"""Starts commands that meet with accidents, and compares what is left of them."""

from __future__ import annotations

import csv
import functools
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from tests.e2e.typed import ENVIRONMENT, ROOT, Started, typed
from tests.torture import child

_ENDING_SECONDS = 60.0  # the machine may be busy: what ends by itself ends within six
ROUNDS = int(os.environ.get("TORTURE", "0"))  # of each test; 0: the short form that make test runs


@dataclass
class Ended:
    """A command that ended.

    Attributes:
        code: Its exit code, or minus the signal that killed it.
        output: What it printed.
        left: Processes of it that are still there some seconds later.
        seconds: From the accident to the end; None without one.
    """

    code: int
    output: str
    left: list[int]
    seconds: float | None = None


def train(folder: Path, *arguments: str, accident: dict[str, Any] | None = None, timeout: float = 120) -> Ended:
    """``train.py``, typed in a folder; meets with an accident."""
    before = functools.partial(child.meet, accident) if accident else None
    done = typed("train", *arguments, folder=folder, before=before, timeout=timeout)
    return Ended(done.returncode, done.stdout + done.stderr, _left_of_session(done.pid))


def train_by_two(*arguments: str, accident: dict[str, Any] | None = None, timeout: float = 120) -> Ended:
    """``train.py`` in two processes, started as Lightning starts them."""
    environment = os.environ | ENVIRONMENT | {"ACCIDENT": json.dumps(accident), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, child.__file__, *arguments, "trainer.devices=2"]
    done = Started(line, ROOT, environment, None).ended(timeout)
    seconds = time.time()
    output = done.stdout + done.stderr
    met = re.findall(rf"^{child.ACCIDENT_AT}(\S+)$", output, re.MULTILINE)
    return Ended(done.returncode, output, _left_of_session(done.pid), seconds - float(met[0]) if met else None)


def _left_of_session(session: int) -> list[int]:
    """Processes that do not end by themselves: one that is ending is listed for a moment, loader processes for 5 s."""
    deadline = time.monotonic() + _ENDING_SECONDS
    while (left := _of_session(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _of_session(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def assert_equal_runs(found: Path, expected: Path) -> None:
    """Weights, optimizer, schedule, stopping, losses, scores and predictions are the same, bit by bit."""
    for name in ("last.ckpt", "best.ckpt"):
        first, second = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (found, expected))
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
            _assert_equal(first[part], second[part], f"{name}: {part}")
        assert first["callbacks"].keys() == second["callbacks"].keys()
        for stopping in (key for key in second["callbacks"] if "EarlyStopping" in key):
            _assert_equal(first["callbacks"][stopping], second["callbacks"][stopping], f"{name}: stopping")
    first, second = _rows(found), _rows(expected)
    odd = [row for row in first if row not in second] + [row for row in second if row not in first]
    assert first == second, f"{len(first)} and {len(second)} rows, of which in one of both: {odd}"
    first, second = (json.loads((run / "result.json").read_text()) for run in (found, expected))
    assert first["results"] == second["results"]
    assert first["best"] == second["best"]
    for split in ("val", "test"):
        assert pq.read_table(found / "predictions" / f"{split}.parquet").equals(
            pq.read_table(expected / "predictions" / f"{split}.parquet")
        )


def _rows(run: Path) -> list[dict[str, str]]:
    """What metrics.csv tells, but for times."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{n: v for n, v in row.items() if v and not n.startswith("time/")} for row in csv.DictReader(file)]
    return sorted((row for row in rows if set(row) - {"epoch", "step"}), key=lambda row: sorted(row.items()))


def _assert_equal(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            _assert_equal(found[key], expected[key], f"{where}, {key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for index, pair in enumerate(zip(found, expected, strict=True)):
            _assert_equal(*pair, f"{where}, {index}")
    else:
        assert found == expected, where


def leftovers(run: Path) -> list[str]:
    """Files that a killed process had begun to write."""
    return [str(path) for path in run.rglob(".*") if path.name != ".lock"]
