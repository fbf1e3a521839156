"""One training on two processes, with all defaults: the numbers of one process, and nobody waits for who has left."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.e2e.typed import result_of, typed, typed_under_torchrun
from tests.torture.running import ROUNDS, train_by_two

EXACT = ("trainer=cpu", "model.network.dropout=0", "model.network.attention_dropout=0", "data.eval_batch_size=7")
FSDP = ("trainer.strategy=fsdp", "trainer.max_tokens=null")
STARTS = {
    "lightning": lambda *arguments: typed("train", *arguments, "trainer.devices=2"),
    "torchrun": lambda *arguments: typed_under_torchrun("train", *arguments),
    "torchrun, fsdp": lambda *arguments: typed_under_torchrun("train", *arguments, *FSDP),
}


def _arguments(logs: Path, name: str, *more: str) -> list[str]:
    return ["debug=tiny", *EXACT, f"paths.logs_dir={logs}", f"paths.cache_dir={logs}/cache", f"run_id={name}", *more]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on one process."""
    logs = tmp_path_factory.mktemp("logs")
    done = typed("train", *_arguments(logs, "one"))
    assert done.returncode == 0, done.stderr
    return logs / "one"


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_two_processes_train_as_one_with_all_defaults(one: Path, tmp_path: Path, start: str) -> None:
    """The same global batches, the same losses; every row counted once, though 48 rows do not divide by 2 x 7."""
    done = STARTS[start](*_arguments(tmp_path, "two"))
    assert done.returncode == 0, done.stderr
    two = tmp_path / "two"
    assert f"Report: {two / 'report.html'}" in done.stdout
    assert "Traceback" not in done.stderr
    environment = json.loads((two / "environment.json").read_text())
    assert (environment["plan"]["devices"], environment["plan"]["accumulation"]) == (2, 2)
    assert json.loads((two / "status.json").read_text())["state"] == "done"
    assert list(two.glob("events.out.tfevents*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "two"], "one folder for both"
    expected, found = result_of(one), result_of(two)
    assert found["baseline"] == expected["baseline"]
    assert found["baseline"]["results"].keys() == {"val", "test"}
    for split in ("val", "test"):
        _assert_equal(found["results"][split], expected["results"][split])
        first, second = (pq.read_table(run / "predictions" / f"{split}.parquet").to_pydict() for run in (one, two))
        assert second["id"] == first["id"]
        assert second["prediction"] == first["prediction"]
        assert np.allclose(second["p_humor"], first["p_humor"], atol=1e-6)
    losses = [_training_losses(folder) for folder in (one, two)]
    assert len(losses[0]) == 2
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def _assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Counts are the same, numbers nearly so."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        exact = name in ("rows", "confusion", "classes", "slices")
        assert found[name] == (value if exact else pytest.approx(value, abs=1e-6)), name


def _training_losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


SETTINGS = {
    "ddp": ("trainer.max_epochs=1",),
    "no test rows": ("trainer.max_epochs=1", "data.folds=3"),
    "fsdp": ("trainer.max_epochs=1", *FSDP),
    "interrupted and gone on": ("trainer.max_epochs=2", "resume=auto"),
    "no best checkpoint": ("trainer.max_epochs=1", "callbacks.best_checkpoint=null"),
    "at half the rate": ("trainer.max_epochs=3", "recover=true", "optim.learning_rate=1e-30"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS if ROUNDS else list(SETTINGS)[:2])
def test_the_first_process_asks_nothing_of_those_that_have_left(tmp_path: Path, name: str) -> None:
    """Baseline, tables, loggers and report are its own work: any collective behind the last score fails here."""
    arguments = _arguments(tmp_path, "run", *SETTINGS[name])
    if "resume=auto" in arguments:
        assert train_by_two(*arguments, accident={"event": "batch", "at": 3, "action": "SIGTERM"}).code == 143
    guarded = {"event": "left the group", "at": 1, "action": "forbid collectives"}
    done = train_by_two(*arguments, accident=guarded)
    assert done.seconds is not None, "the guard was there"
    assert done.code == 0, done.output
    assert "baseline" in done.output
    folder = next(path for path in tmp_path.glob("run*") if (path / "result.json").is_file())
    assert result_of(folder)["baseline"]["results"]
    assert (folder / "report.html").is_file()
