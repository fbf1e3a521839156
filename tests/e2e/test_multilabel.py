"""task=multilabel: several labels a row, each its own yes or no, are learned from columns of 0 and 1."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from lit_humor.inference.scoring import load_scorer
from lit_humor.inference.serving import Endpoints, OneText, Texts
from lit_humor.tasks.multilabel import MultiLabel
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import result_of, typed_here

NAMES = ("humor", "pun")
WORDS = [*map(str, range(30))]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts with ha are humor, those with bread are puns; some are both, some neither."""
    folder = tmp_path_factory.mktemp("labels")
    generator = np.random.default_rng(0)
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *NAMES, "language"])
        for row in range(120):
            humor, pun = row % 2, row // 2 % 2
            words = generator.choice(WORDS, size=8).tolist()
            text = " ".join([*words, *["ha ha ha"] * humor, *["bread bread"] * pun])
            writer.writerow([text, humor, pun, ("en", "es")[row % 3 == 0]])
    done = typed_here(
        "train", "task=multilabel", "model=tiny", "data=csv", f"data.train_path={folder}/train.csv", "trainer=cpu",
        "data.target_columns=[humor,pun]", "data.test_fraction=0.2", "data.val_fraction=0.2", "trainer.max_epochs=6",
        f"paths.logs_dir={folder}", "run_id=run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "test: labels" in done.stdout
    return folder / "run"


def _predictions(run: Path) -> tuple[dict, np.ndarray, np.ndarray]:
    table = pq.read_table(run / "predictions" / "test.parquet").to_pydict()
    return table, *(np.stack([table[prefix + name] for name in NAMES], axis=1) for prefix in ("is_", "p_"))  # type: ignore[return-value]


def test_its_numbers_are_those_of_scikit_learn(run: Path) -> None:
    results = result_of(run)["results"]["test"]
    _, targets, probabilities = _predictions(run)
    called = probabilities >= 0.5
    assert results["rows"] == len(targets) > 15
    assert results["f1_macro"] == pytest.approx(f1_score(targets, called, average="macro"), abs=1e-5)
    assert results["f1_micro"] == pytest.approx(f1_score(targets, called, average="micro"), abs=1e-5)
    assert results["exact_match"] == pytest.approx((called == targets).all(axis=1).mean(), abs=1e-5)
    assert results["auroc"] == pytest.approx(roc_auc_score(targets, probabilities, average="macro"), abs=1e-5)
    assert sum(one["rows"] for one in results["slices"]["language"].values()) == results["rows"]
    assert result_of(run)["baseline"]["results"]["test"]["f1_macro"] > 0.9, "words tell the labels"


def test_its_page_has_intervals_and_labels(run: Path) -> None:
    results = result_of(run)["results"]["test"]
    columns, *_ = _predictions(run)
    low, high = MultiLabel(NAMES).intervals(columns)["exact_match"]
    assert low <= results["exact_match"] <= high
    page = (run / "report.html").read_text()
    assert f"exact_match {results['exact_match']:.3f} [{low:.3f}, {high:.3f}]" in page
    assert "test: labels" in page
    assert json.loads((run / "labels.json").read_text())["class_names"] == list(NAMES)


def test_predict_and_serve_give_the_labels(run: Path, tmp_path: Path) -> None:
    columns, _, probabilities = _predictions(run)
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in columns["text"])])
    done = typed_here("predict", f"run={run}", f"input={tmp_path}/in.csv", f"output={tmp_path}/out.parquet")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert np.asarray(table["p_pun"]) == pytest.approx(probabilities[:, 1], abs=1e-2)
    names = [{name for name in NAMES if table[f"p_{name}"][row] >= 0.5} for row in range(len(probabilities))]
    assert [set(text.split(", ")) - {"none"} for text in table["prediction"]] == names
    done = typed_here("predict", f"run={run}", "text=7 ha ha ha", "threshold=0.0001")
    assert done.stdout.startswith("humor, pun\thumor 0.")
    endpoints = Endpoints(load_scorer(str(run)))
    assert endpoints.score(Texts(texts=["8 bread"]))[0]["probabilities"].keys() == set(NAMES)
    assert endpoints.explain(OneText(text="8 bread"))["label"] in NAMES


@pytest.mark.parametrize("to", ["huggingface", "onnx"])
def test_exports_give_the_same_probabilities(run: Path, to: str) -> None:
    done = typed_here("export", f"run={run}", f"to={to}")
    assert done.returncode == 0, done.stderr
    parity = json.loads((run / "export" / to / "parity.json").read_text())
    assert parity["labels_agree"] == 1
    assert parity["largest_difference"] < 1e-4


def test_it_is_scored_again(run: Path) -> None:
    done = typed_here("eval", f"run={run}", "split=test", f"output={run}/again")
    assert done.returncode == 0, done.stderr
    assert result_of(run / "again")["results"]["test"]["f1_macro"] == result_of(run)["results"]["test"]["f1_macro"]


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("data.target_columns=[pun,rating]", "2 in column 'rating'"),
        ("data.target_column=rating", "no columns of labels"),
        ("data.target_columns=[pun]", "one column only"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, setting: str, found: str) -> None:
    (tmp_path / "in.csv").write_text(
        "text,rating,pun\n" + "\n".join(f"text {row},{row % 3},1" for row in range(20)) + "\n"
    )
    data = "data=csv", f"data.train_path={tmp_path}/in.csv", setting
    done = typed_here("train", "task=multilabel", "model=tiny", "trainer=cpu", *data, f"paths.logs_dir={tmp_path}")
    assert_one_message(done, found)
