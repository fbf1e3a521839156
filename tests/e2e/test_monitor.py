"""Watch a real run from outside, and stop it."""

import csv
import json
import time
from pathlib import Path

from tests.e2e.typed import start, typed


def test_a_run_is_watched_and_stopped(tmp_path: Path) -> None:
    run = tmp_path / "watched"
    process = start("train", "debug=tiny", f"paths.logs_dir={tmp_path}", "run_id=watched",
                    "trainer.max_epochs=2000", "callbacks.early_stopping=null", "baseline=false")  # fmt: skip
    status, metrics = run / "status.json", run / "metrics.csv"
    for _ in range(2400):
        if status.is_file() and json.loads(status.read_text())["epoch"] >= 2 and metrics.is_file():
            break
        time.sleep(0.05)
    shown = typed("monitor", f"run={run}", "--once").stdout
    assert "running" in shown
    assert "samples/s" in shown
    with metrics.open(newline="") as file:
        scores = [f"{float(row['val/f1']):.4f}" for row in csv.DictReader(file) if row["train/loss"]]
    assert any(score in shown for score in scores), "the file may have grown by an epoch since"
    stopped = typed("stop", f"run={run}")
    assert stopped.returncode == 0, stopped.stdout
    ended = process.ended(60)
    assert ended.returncode == 130, ended.stdout + ended.stderr
    assert f"train.py resume={run}" in stopped.stdout
    assert "interrupted" in typed("monitor", f"logs={tmp_path}", "--once").stdout
    assert (run / "checkpoints" / "last.ckpt").is_file()
