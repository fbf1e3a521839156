"""Loader processes: where they come from, what they are sent, when they leave."""

import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.building import make_datamodule


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc here")
def test_loader_processes_are_no_copies_of_one_with_threads(tiny_model: str, tmp_path: Path) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path, num_workers=2)
    datamodule.setup()
    batches: Any = iter(datamodule.train_dataloader())
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    assert os.getpid() not in {_parent(worker.pid or 0) for worker in workers}
    assert sorted({row for batch in batches for row in batch["rows"].tolist()}) == list(range(44))
    for worker in workers:
        worker.terminate()
        worker.join(10)
        assert worker.exitcode == 0


def test_rows_reach_another_process_as_the_name_of_their_files(tiny_model: str, tmp_path: Path) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path)
    datamodule.setup()
    prepared: Any = datamodule.prepared["train"]
    sent = pickle.dumps(prepared)
    assert len(sent) < 700 < prepared.store.input_ids.nbytes
    there, rows = pickle.loads(sent), np.arange(44)
    assert torch.equal(there.collate(rows)["input_ids"], prepared.collate(rows)["input_ids"])


def _hold_a_loader(tiny_model: str, folder: Path, pids: Any) -> None:
    datamodule = make_datamodule(tiny_model, folder, num_workers=2)
    datamodule.setup()
    batches: Any = iter(datamodule.train_dataloader())
    next(batches)
    workers = [worker.pid or 0 for worker in multiprocessing.active_children()]
    pids.put([*workers, _parent(workers[0])])
    time.sleep(600)


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc here")
def test_loader_processes_and_their_server_leave_a_training_that_was_killed(tiny_model: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    pids = context.Queue()
    training = context.Process(target=_hold_a_loader, args=(tiny_model, tmp_path, pids))
    training.start()
    others = pids.get(timeout=120)
    assert len(set(others)) == 3
    os.kill(training.pid or 0, signal.SIGKILL)
    training.join(10)
    deadline = time.monotonic() + 20
    while left := [pid for pid in others if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
