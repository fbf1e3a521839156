"""Starts commands that meet with accidents, and compares what is left of them."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from tests.e2e.typed import ROOT
from tests.torture import child

ROUNDS = int(os.environ.get("TORTURE", "0"))  # of each test; 0: the short form that make test runs

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["lit_humor.engine.training", "lit_humor.train", "tests.torture.child"])


@dataclass
class Ended:
    """A command that ended.

    Attributes:
        code: Its exit code, or minus the signal that killed it.
        output: What it printed.
        left: Processes of it that are still there.
    """

    code: int
    output: str
    left: list[int]


def train(folder: Path, *arguments: str, accident: dict[str, Any] | None = None, timeout: float = 120) -> Ended:
    """``train.py`` in a copy of a process that has imported everything: a second, not ten."""
    log = folder / f"{uuid.uuid4().hex}.txt"
    process = _SERVER.Process(target=child.run, args=("train", [*arguments], str(log), accident))
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"it hangs:\n{log.read_text()}")
    return Ended(process.exitcode, log.read_text(), _of_session(process.pid or 0))


def train_by_two(*arguments: str, accident: dict[str, Any] | None = None, timeout: float = 120) -> Ended:
    """``train.py`` in two processes, started as Lightning starts them."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "ACCIDENT": json.dumps(accident), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, child.__file__, *arguments, "trainer.devices=2"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment, start_new_session=True,
    )  # fmt: skip
    output, _ = process.communicate(timeout=timeout)
    return Ended(process.returncode, output, _of_session(process.pid))


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
        stopping = next(key for key in second["callbacks"] if "EarlyStopping" in key)
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
