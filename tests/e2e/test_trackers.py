"""Trackers where they run offline: W&B without an account, MLflow on a database of the disk."""

import atexit
import csv
import sqlite3
from multiprocessing import util
from pathlib import Path
from unittest import mock

import pytest
from lightning.pytorch.loggers import MLFlowLogger

from lit_humor.engine import loggers
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import result_of, typed, typed_here

TINY = ("model=tiny", "data=tiny")  # debug=tiny shows tracebacks


def _last(run: Path, column: str) -> float:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]][-1]


@pytest.mark.slow
def test_mlflow_on_this_disk(tmp_path: Path) -> None:
    bare = ("baseline=false", "report=false")
    done = typed("train", "debug=tiny", "logger=mlflow", f"paths.logs_dir={tmp_path}", "run_id=run", *bare)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        metrics = dict(database.execute("SELECT key, value FROM latest_metrics"))
        settings = dict(database.execute("SELECT key, value FROM params"))
        names = list(database.execute("SELECT name, status FROM runs"))
    assert names == [("run", "FINISHED")]
    assert metrics["val/f1"] == pytest.approx(_last(tmp_path / "run", "val/f1"))
    assert metrics["final/test/f1"] == pytest.approx(result_of(tmp_path / "run")["results"]["test"]["f1"])
    assert settings["objective/label_smoothing"] == "0.1"
    with mock.patch.object(loggers, "find_spec", return_value=None):  # where the tracker is not installed
        done = typed_here("predict", f"run={tmp_path / 'run'}", "text=x")
    assert done.returncode == 0, done.stderr


def _end_as_python_does() -> None:
    """W&B writes its file when Python ends; a copy ends without that."""
    util.Finalize(None, atexit._run_exitfuncs, exitpriority=0)


@pytest.mark.slow
def test_wandb_offline(tmp_path: Path) -> None:
    options = ("logger=wandb", "logger.wandb.offline=true", "report=false", "baseline=false")
    places = (f"paths.logs_dir={tmp_path}", "run_id=run")
    done = typed("train", "debug=tiny", *options, *places, before=_end_as_python_does)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*-run")
    logged = next(folder.glob("run-run.wandb")).read_bytes()
    for name in (b"val/f1", b"final/test/f1", b"confusion/val", b"label_smoothing"):
        assert name in logged


def test_a_missing_package_names_the_extra(tmp_path: Path) -> None:
    with mock.patch.object(loggers, "find_spec", return_value=None):
        done = typed_here("train", *TINY, "logger=mlflow", f"paths.logs_dir={tmp_path}")
    assert_one_message(done, "pip install -c constraints.txt -e '.[mlflow]'")
    assert not list(tmp_path.iterdir())


def test_a_service_that_does_not_take_the_run(tmp_path: Path) -> None:
    def refuse(logger: MLFlowLogger) -> None:
        raise ConnectionError("nobody answers")

    with mock.patch.object(MLFlowLogger, "experiment", property(refuse)):
        done = typed_here("train", *TINY, "logger=mlflow", "run_id=run", f"paths.logs_dir={tmp_path}/logs")
    assert_one_message(done, "logger.mlflow: found no service that takes this run (nobody answers)")
    assert not (tmp_path / "logs" / "run").exists(), "nothing half written"
