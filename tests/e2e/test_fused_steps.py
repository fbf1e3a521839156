"""A step of 32 rows of pictures, texts and answers is the same step, however it is cut into micro-batches."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.e2e.typed import typed

STEPS = {
    "1 x 32": ("data.batch_size=1", "trainer.accumulation=32"),
    "2 x 16": (),
    "32 x 1, in chunks": ("data.batch_size=32", "trainer.accumulation=1", "trainer.max_tokens=300"),
    "two processes": ("trainer.devices=2",),
}
PLANS = {"1 x 32": (1, 1, 32), "2 x 16": (1, 2, 16), "32 x 1, in chunks": (1, 32, 1), "two processes": (2, 2, 8)}


@pytest.mark.slow
def test_all_ways_to_cut_a_step_have_the_same_losses(tmp_path: Path) -> None:
    exact = ("model.network.dropout=0", "model.network.attention_dropout=0")
    places = (f"paths.logs_dir={tmp_path / 'logs'}", f"paths.cache_dir={tmp_path / 'cache'}")
    losses, gates = {}, {}
    for number, (name, more) in enumerate(STEPS.items()):
        line = ("experiment=dimtda", "debug=tiny", "trainer=cpu", *exact, *places, f"run_id=run-{number}", *more)
        done = typed("train", *line)
        assert done.returncode == 0, done.stderr
        run = tmp_path / "logs" / f"run-{number}"
        plan = json.loads((run / "environment.json").read_text())["plan"]
        assert (plan["devices"], plan["micro_batch_size"], plan["accumulation"]) == PLANS[name]
        with (run / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        losses[name] = [float(row[key]) for key in ("train/loss", "val/loss") for row in rows if row[key]]
        gates[name] = pq.read_table(run / "predictions" / "test.parquet")["gate"].to_numpy()
    expected = losses.pop("2 x 16")
    assert len(expected) > 3
    assert expected[0] != expected[1], "it learns"
    for name, found in losses.items():
        assert found == pytest.approx(expected, rel=1e-6), name
        assert np.allclose(gates[name], gates["2 x 16"], atol=1e-6), name
