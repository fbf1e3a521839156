"""What a plan is said to take, from a clock that ticks once a look."""

import itertools
from pathlib import Path

import pytest

from lit_humor.benchmarking import pace
from lit_humor.launch.queue import Job
from lit_humor.sweeps.budget import _costs

PACE = {"start_seconds": 7.0, "epoch_seconds": 20.0, "val_seconds": 3.0, "test_seconds": 2.0, "max_epochs": 4}


def test_a_training_costs_its_start_its_epochs_and_its_scores() -> None:
    train, evaluation = Job(Path("train"), []), Job(Path("evaluation"), [])
    paces = {train: PACE, evaluation: PACE | {"max_epochs": 0}}
    assert _costs(paces) == {train: 7 + 4 * (20 + 3) + 3 + 2, evaluation: 7 + 3 + 2}
    assert _costs(paces, 1)[train] == 7 + 1 * (20 + 3) + 3 + 2


def test_steps_and_batches_that_are_timed_stand_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(ticks)))
    overrides = ["model=tiny", "data=demo", "data.rows_per_split=160", f"paths.cache_dir={tmp_path}"]
    found = pace.measure_pace([*overrides, "data.eval_batch_size=20", "trainer.max_epochs=7"])
    assert found["epoch_seconds"] == pytest.approx(160 / 32 / 3)  # three steps took one second
    assert found["val_seconds"] == found["test_seconds"] == pytest.approx(160 / 20 / 3)  # three batches did
    assert found["max_epochs"] == 7
