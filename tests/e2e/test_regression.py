"""task=regression: a rating is learned from a file of numbers."""

import csv
import json
import math
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from lit_humor.inference.scoring import load_scorer
from lit_humor.inference.serving import Endpoints, OneText, Texts
from lit_humor.tasks.regression import Regression
from tests.e2e.test_bad_input import assert_one_message
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


def test_files_texts_and_words_get_numbers(run: Path, tmp_path: Path) -> None:
    table = pq.read_table(run / "predictions" / "test.parquet").to_pydict()
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in table["text"])])
    done = typed_here("predict", f"run={run}", f"input={tmp_path}/in.csv", f"output={tmp_path}/out.parquet")
    assert done.returncode == 0, done.stderr
    predicted = pq.read_table(tmp_path / "out.parquet").to_pydict()["prediction"]
    assert predicted == pytest.approx(table["prediction"], abs=1e-2)  # evaluated in bf16 where that is fast
    done = typed_here("predict", f"run={run}", f"text={table['text'][0]}", "explain=true")
    assert done.returncode == 0, done.stderr
    number, text = done.stdout.splitlines()[0].split("\t")
    assert (float(number), text) == (pytest.approx(predicted[0], abs=1e-3), table["text"][0])
    assert "for the number: " in done.stdout
    refused = typed_here("predict", f"run={run}", "text=ha", "threshold=0.5")
    assert_one_message(refused, "regression has no threshold")


def test_the_page_and_the_comparison_have_intervals(run: Path) -> None:
    results = result_of(run)["results"]["test"]
    low, high = Regression().intervals(pq.read_table(run / "predictions" / "test.parquet").to_pydict())["rmse"]
    assert low < results["rmse"] < high
    page = (run / "report.html").read_text()
    assert f"rmse {results['rmse']:.3f} [{low:.3f}, {high:.3f}]" in page
    assert "The largest errors of test" in page
    assert "test: by language" in page
    other = shutil.copytree(run, run.with_name("other"))
    done = typed_here("report", f"runs=[{run},{other}]", f"output={run.parent}/versus.html")
    assert done.returncode == 0, done.stderr
    assert "RMSE +0.000 [+0.000, +0.000]" in done.stdout


@pytest.mark.parametrize("to", ["huggingface", "onnx", "onnx_int8"])
def test_exports_give_the_same_numbers(run: Path, to: str) -> None:
    done = typed_here("export", f"run={run}", f"to={to}")
    assert done.returncode == 0, done.stderr
    folder = run / "export" / to
    parity = json.loads((folder / "parity.json").read_text())
    assert "labels_agree" not in parity
    if to == "onnx_int8":
        assert parity["rmse_difference"] == pytest.approx(parity["int8_rmse"] - parity["fp32_rmse"])
        return
    assert parity["largest_difference"] < 1e-4
    card = (folder / "README.md").read_text()
    rmse = result_of(run)["results"]["test"]["rmse"]
    assert f" {rmse:.4f} [" in card
    assert "Gives a text a number" in card


def test_the_server_answers_with_numbers(run: Path) -> None:
    endpoints = Endpoints(load_scorer(str(run)))
    number, blank = endpoints.score(Texts(texts=["cat 7 ha ha", " "]))
    assert isinstance(number["label"], float)
    assert blank == {"label": None, "detail": "a blank text"}
    explained = endpoints.explain(OneText(text="cat 7 ha ha"))
    assert explained["label"] == "the number"
    assert len(explained["words"]) >= 3


@pytest.mark.parametrize(("column", "found"), [("same", "the same number everywhere"), ("rating", "found nothing")])
def test_numbers_that_cannot_be_learned_are_refused(tmp_path: Path, column: str, found: str) -> None:
    lines = [f"text {row},{'' if row == 3 else row},1" for row in range(20)]
    (tmp_path / "in.csv").write_text("text,rating,same\n" + "\n".join(lines) + "\n")
    data = "data=csv", f"data.train_path={tmp_path}/in.csv", f"data.target_column={column}"
    done = typed_here("train", "task=regression", "model=tiny", "trainer=cpu", *data, f"paths.logs_dir={tmp_path}")
    assert_one_message(done, found)
