"""task=regression: a rating is learned from a file of numbers."""

import csv
import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from tests.e2e.typed import result_of, typed_here

WORDS = ("cat", "hat", "tea", "sun", "dog")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts are the funnier the more often they say ha."""
    folder = tmp_path_factory.mktemp("ratings")
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "rating", "language"])
        for row in range(90):
            text = " ".join([WORDS[row % 5], str(row), *["ha"] * (row % 4)])
            writer.writerow([text, 0.5 * (row % 4), ("en", "es")[row % 2]])
    done = typed_here(
        "train", "task=regression", "model=tiny", "data=csv", f"data.train_path={folder}/train.csv", "trainer=cpu",
        "data.target_column=rating", "data.test_fraction=0.2", "data.val_fraction=0.2", "trainer.max_epochs=2",
        f"paths.logs_dir={folder}", "run_id=run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "val/mae" in done.stdout
    return folder / "run"


def test_its_numbers_are_those_of_its_predictions(run: Path) -> None:
    results = result_of(run)["results"]["test"]
    table = pq.read_table(run / "predictions" / "test.parquet").to_pydict()
    errors = [value - target for value, target in zip(table["prediction"], table["target"], strict=True)]
    assert results["rows"] == len(errors) > 10
    assert results["rmse"] == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)), abs=1e-5)
    assert results["mae"] == pytest.approx(sum(map(abs, errors)) / len(errors), abs=1e-5)
    assert results["loss"] == pytest.approx(results["rmse"] ** 2, abs=1e-5)
    if results["spearman"] is not None:
        assert results["spearman"] == pytest.approx(spearmanr(table["prediction"], table["target"])[0], abs=1e-4)
    by_language = results["slices"]["language"]
    assert sum(one["rows"] for one in by_language.values()) == results["rows"]


def test_the_folder_says_what_was_followed(run: Path) -> None:
    tasks = json.loads((run / "tasks.json").read_text())
    assert (tasks["monitor"], tasks["mode"]) == ("val/rmse", "min")
    result = result_of(run)
    assert result["best"]["score"] == pytest.approx(result["results"]["val"]["rmse"], abs=1e-5)
    assert result["baseline"]["results"]["test"]["mae"] > 0
    assert "val/rmse" in typed_here("monitor", f"run={run}", "--once").stdout
    assert "Spearman" in (run / "report.html").read_text()


def test_it_is_scored_again(run: Path) -> None:
    done = typed_here("eval", f"run={run}", "split=test", f"output={run}/again")
    assert done.returncode == 0, done.stderr
    assert result_of(run / "again")["results"]["test"]["rmse"] == result_of(run)["results"]["test"]["rmse"]


def test_it_needs_numbers(tmp_path: Path) -> None:
    done = typed_here("train", "task=regression", "debug=tiny", "trainer=cpu", f"paths.logs_dir={tmp_path}")
    assert done.returncode == 1
    assert "data.target_column" in done.stderr
