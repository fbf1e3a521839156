"""A command that meets with an accident at a given moment: python tests/torture/child.py <command> <arguments>.

The accident stands in the variable ``ACCIDENT``: ``{"event": ..., "at": n, "action": ..., "rank": r}``: at the n-th
time (from 1) that something of the list below happens in process r, this process is sent a signal, or fails.
"""

from __future__ import annotations

import importlib
import inspect
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVENTS = {  # what: a function that is called just then
    "pass": "lit_humor.learning.step.OptimizerStep.row_losses",
    "batch": "lit_humor.callbacks.step_seeds.StepSeeds.on_train_batch_start",
    "stepped": "lit_humor.callbacks.heartbeat.Heartbeat.on_train_batch_end",
    "validation": "lit_humor.learning.learner.Learner.validation_step",
    "epoch end": "lit_humor.callbacks.epoch_timer.EpochTimer.on_train_epoch_end",
    "save": "lit_humor.engine.checkpoints._Hashing.write",
    "swap": "lit_humor.core.files.os.replace",
    "logging": "lit_humor.callbacks.metrics_csv.MetricsCsv.save",
    "start": "lit_humor.engine.factory.build_datamodule",
    "before the test": "lit_humor.data.batches.datamodule.HumorDataModule.test_dataloader",
    "test": "lit_humor.learning.learner.Learner.test_step",
    "left the group": "lit_humor.engine.training.leave_group",
}
ACCIDENT_AT = "accident at "  # what a process prints then, with the time


def meet(accident: dict[str, Any]) -> None:
    """Have the accident happen in this process, if it is the one."""
    if int(os.environ.get("LOCAL_RANK", "0")) != accident.get("rank", 0):
        return
    owner, name = find(EVENTS[accident["event"]])
    function, left = getattr(owner, name), accident["at"]

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            _act(accident["action"])
        return function(*arguments, **named)

    setattr(owner, name, counted)


def find(path: str) -> tuple[Any, str]:
    """Return the object that has a function, and the function's name there."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:-1]:
            owner = getattr(owner, part)
        return owner, parts[-1]
    raise LookupError(path)


def _act(action: str) -> None:
    print(f"\n{ACCIDENT_AT}{time.time()}", flush=True)
    if action == "forbid collectives":
        _forbid_collectives()
        return
    if action == "raise":
        raise RuntimeError("an accident")
    if action == "out of memory":
        import torch

        raise torch.OutOfMemoryError("planted")
    if action == "kill a loader process":
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        return
    if action.endswith(" to all"):  # from outside, as a scheduler sends it
        kill = ["kill", "-s", action.removesuffix(" to all"), "--", f"-{os.getpgrp()}"]
        subprocess.run(kill, check=True, start_new_session=True)
    else:
        os.kill(os.getpid(), getattr(signal, action))
    time.sleep(0.01)  # a handler runs between two instructions of Python


def _forbid_collectives() -> None:
    """From now on this process fails where it asks the others; its group of processes stays, so that it could."""
    import torch
    from torch.distributed import _functional_collectives, distributed_c10d

    for module in (distributed_c10d, _functional_collectives):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            is_question = name.startswith(("get_", "_"))  # of this process alone
            if not is_question and "group" in inspect.signature(function).parameters:
                forbidden = _forbidden(name)
                setattr(module, name, forbidden)
                setattr(torch.distributed, name, forbidden)
    torch.distributed.destroy_process_group = lambda *args: None


def _forbidden(name: str) -> Callable[..., None]:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"{name}: the first process asks the others, which have ended")

    return fail


def main(argv: list[str], accident: dict[str, Any] | None) -> None:
    """Run the command that is named first, or ``train``, to its end."""
    command = argv.pop(1) if argv[1:2] and "=" not in argv[1] else "train"
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    entry: Callable[[], None] = importlib.import_module(f"lit_humor.{command}").main
    if accident:
        meet(accident)
    entry()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
    main(sys.argv, json.loads(os.environ.get("ACCIDENT", "null")))
