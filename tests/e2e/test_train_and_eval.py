"""Train and evaluate as typed, on the tiny model."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from tests.e2e.typed import ROOT, result_of, start, typed, typed_here

QUICK = ("trainer.max_epochs=1", "baseline=false", "callbacks.confusion=null")
EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml"))


def _train(logs: Path, run_id: str, *arguments: str) -> Path:
    bare = "report=false", "logger.tensorboard=null"  # seconds that test_report.py spends once
    done = typed("train", "debug=tiny", f"paths.logs_dir={logs}", f"run_id={run_id}", *bare, *arguments)
    assert done.returncode == 0, done.stderr
    assert str(logs / run_id) in done.stdout
    return logs / run_id


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def run(logs: Path) -> Path:
    """A run whose "best" checkpoint is that of the highest training loss: surely not the last one, without dropout."""
    best = ("callbacks.best_checkpoint.monitor=train/loss", "callbacks.early_stopping=null")
    falling = ("model.network.dropout=0", "model.network.attention_dropout=0")
    return _train(logs, "plain", "trainer.max_epochs=6", *best, *falling)


def test_all_experiments_are_found() -> None:
    gritlm = ["gritlm", "gritlm_before", "gritlm_embed_only", "gritlm_write_only"]
    pictures = ["dimtda", "dimtda_before"], ["qwen3vl_random", "qwen3vl_random_before"]
    assert [*pictures[0], *gritlm, *pictures[1], "v1", "v2", "v3"] == EXPERIMENTS


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs_tiny(logs: Path, experiment: str) -> None:
    folder = _train(logs, f"tiny-{experiment}", f"experiment={experiment}", "baseline=false")
    assert result_of(folder)["epochs"] == 2


def test_run_folder_holds_what_it_promises(run: Path) -> None:
    for name in (
        "config.yaml",
        "environment.json",
        "status.json",
        "metrics.csv",
        "result.json",
        "data_report.json",
        "log.txt",
    ):
        assert (run / name).stat().st_size > 0, name
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    environment = json.loads((run / "environment.json").read_text())
    assert environment["plan"]["window_size"] == 32
    assert environment["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    assert len(list((run / "confusion").glob("val_epoch*.json"))) == result_of(run)["epochs"]
    log = (run / "log.txt").read_text()
    for told in ("Hardware plan", "Parameter groups", "val/f1", "confusion matrix", str(run)):
        assert told in log


def test_every_epoch_is_timed(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        seconds = [float(row["time/epoch_seconds"]) for row in csv.DictReader(file) if row["time/epoch_seconds"]]
    assert len(seconds) == result_of(run)["epochs"]
    assert min(seconds) > 0
    assert sum(seconds) <= result_of(run)["fit_seconds"]


def test_results_are_scikit_learns_on_the_predictions(run: Path) -> None:
    results = result_of(run)["results"]
    for split in ("val", "test"):
        table = pq.read_table(run / "predictions" / f"{split}.parquet").to_pydict()
        assert results[split]["rows"] == len(table["id"]) == 48
        labels, predictions = (np.array(table[name]) == "humor" for name in ("label", "prediction"))
        assert results[split]["accuracy"] == pytest.approx(accuracy_score(labels, predictions))
        assert results[split]["f1"] == pytest.approx(f1_score(labels, predictions, zero_division=0))


def test_best_checkpoint_is_what_is_scored(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/f1"] and row["train/loss"]]
    best = max(rows, key=lambda row: float(row["train/loss"]))
    assert best is not rows[-1]
    result = result_of(run)
    assert result["results"]["val"]["loss"] == pytest.approx(float(best["val/loss"]), abs=1e-6)
    assert result["best"]["epoch"] == int(best["epoch"])
    assert result["best"]["score"] == pytest.approx(float(best["train/loss"]), abs=1e-6)


def test_eval_prints_the_numbers_of_training(run: Path, tmp_path: Path) -> None:
    for split in ("val", "test"):
        done = typed("eval", f"run={run}", f"split={split}", f"output={tmp_path / split}")
        assert done.returncode == 0, done.stderr
        trained, scored = (result_of(folder)["results"][split] for folder in (run, tmp_path / split))
        assert scored == trained
        assert f"{scored['accuracy']:.4f}" in done.stdout


def test_eval_by_checkpoint_and_on_other_data(run: Path, tmp_path: Path) -> None:
    rows = pq.read_table(run / "predictions" / "test.parquet").to_pydict()
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(rows["text"], rows["label"], strict=True)])
    done = typed(
        "eval", f"ckpt={run / 'checkpoints' / 'best.ckpt'}", "data=csv", f"data.test_path={tmp_path / 'mine.csv'}",
        f"output={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path)["results"]["test"]["f1"] == pytest.approx(result_of(run)["results"]["test"]["f1"])


def test_notebook_scores_a_run_in_five_lines(run: Path) -> None:
    from lit_humor.inference.loading import load_run

    saved = load_run(str(run))
    trainer = pl.Trainer(precision=saved.precision, logger=False, enable_progress_bar=False)
    (metrics,) = trainer.test(saved.learner, saved.datamodule, verbose=False)
    assert metrics["test/f1"] == pytest.approx(result_of(run)["results"]["test"]["f1"])


def test_checkpoints_are_plain(run: Path) -> None:
    for name in ("best", "last"):
        saved = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert "hyper_parameters" not in saved
        assert saved["state_dict"]["objective.class_weights"].tolist() != [1, 1]


def test_one_seed_one_result_other_seed_another(logs: Path) -> None:
    first, again, other = (
        torch.load(_train(logs, f"seed-{name}", f"seed={seed}", *QUICK) / "checkpoints" / "last.ckpt",
                   weights_only=True)["state_dict"]
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )  # fmt: skip
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.head.dense.weight"], other["model.head.dense.weight"])


def test_seed_reaches_the_initial_weights(logs: Path) -> None:
    """At a rate of almost zero the order of rows leaves no trace: what differs was drawn at the start."""
    first, other = (
        torch.load(
            _train(logs, f"init-{seed}", f"seed={seed}", *QUICK, "optim.learning_rate=1e-30")
            / "checkpoints" / "last.ckpt",
            weights_only=True,
        )["state_dict"]["model.head.dense.weight"]
        for seed in (7, 8)
    )  # fmt: skip
    assert not torch.allclose(first, other)


def test_own_csv_with_contexts_and_groups(logs: Path, tmp_path: Path) -> None:
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["setup", "line", "kind", "talk"])
        writer.writerows([f"setup {i}", f"line {i}", ("flat", "funny")[i % 2], i // 4] for i in range(120))
    done = typed(
        "train", "model=tiny", "trainer.max_epochs=1", f"paths.logs_dir={logs}", "run_id=own", "data=csv",
        f"data.train_path={os.path.relpath(tmp_path / 'mine.csv', ROOT)}",
        "data.text_column=line", "data.text_pair_column=setup",
        "data.label_column=kind", "data.label_names=[flat,funny]", "data.group_column=talk", "data.test_fraction=0.2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(result_of(logs / "own")["results"]["test"]["classes"]) == ["flat", "funny"]
    assert result_of(logs / "own")["results"]["test"]["rows"] == 24
    assert json.loads((logs / "own" / "status.json").read_text())["state"] == "done"
    config = (logs / "own" / "config.yaml").read_text()
    assert f"train_path: {tmp_path / 'mine.csv'}" in config  # absolute: the run loads from any folder
    done = typed_here("eval", f"run={logs / 'own'}", "data=csv", f"data.test_path={tmp_path / 'mine.csv'}")
    assert done.returncode == 0, done.stderr  # with the columns and labels of the run
    assert result_of(logs / "own" / "eval" / "mine-test")["results"]["test"]["rows"] == 120


def test_ctrl_c_saves_and_the_run_goes_on(logs: Path) -> None:
    bare = ("callbacks.early_stopping=null", "callbacks.confusion=null", "baseline=false", "report=false")
    process = start("train", "debug=tiny", f"paths.logs_dir={logs}", "run_id=stopped", "trainer.max_epochs=40", *bare)
    status = logs / "stopped" / "status.json"
    for _ in range(2400):
        if status.is_file() and json.loads(status.read_text())["step"] >= 4:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    ended = process.ended(60)
    assert ended.returncode == 130, ended.stdout + ended.stderr
    assert f"train.py resume={logs / 'stopped'}\n" in ended.stdout + ended.stderr  # in one line, to be copied
    assert json.loads(status.read_text())["state"] == "interrupted"
    stopped_at = torch.load(logs / "stopped" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < stopped_at < 80
    report = logs / "stopped" / "data_report.json"
    kept = report.read_text()
    report.write_text(kept.replace(json.loads(kept)["fingerprint"], "of other files"))
    refused = typed_here("train", f"resume={logs / 'stopped'}")
    assert refused.returncode == 1
    assert "other texts, labels or order" in refused.stderr
    report.write_text(kept)
    done = typed("train", f"resume={logs / 'stopped'}")
    assert done.returncode == 0, done.stderr
    assert result_of(logs / "stopped")["steps"] == 80
    assert json.loads(status.read_text())["state"] == "done"
    steps = [int(row["step"]) for row in csv.DictReader((logs / "stopped" / "metrics.csv").open()) if row["train/loss"]]
    assert steps == sorted(set(steps)), "metrics.csv goes on where it was"
    assert len(steps) == 40
    again = typed_here("train", f"resume={logs / 'stopped'}")
    assert again.returncode == 1
    assert "a run that is done" in again.stderr


def test_real_data_reads_and_trains(logs: Path, hahackathon: Path) -> None:
    folder = _train(
        logs, "real", "data=csv", f"data.train_path={hahackathon / 'train.csv'}",
        f"data.val_path={hahackathon / 'dev.csv'}", "data.test_fraction=0", "trainer.max_epochs=1",
    )  # fmt: skip
    report = json.loads((folder / "data_report.json").read_text())
    assert report["splits"]["train"]["classes"] == {"not humor": 3068, "humor": 4932}
    assert report["splits"]["val"]["classes"] == {"not humor": 368, "humor": 632}
    result = result_of(folder)
    assert result["results"].keys() == {"val"}
    assert result["baseline"]["results"]["val"]["f1"] > 0.8
    assert math.isfinite(result["results"]["val"]["loss"])


def test_commands_answer_help_without_importing_lightning() -> None:
    code = (
        "import sys; sys.argv = ['train.py', '--cfg', 'job']; import lit_humor.train as t; t.main(); "
        "print('lightning' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, cwd=ROOT)
    assert done.stdout.strip().endswith("False False"), done.stderr
