"""Pages made from run folders that are written here by hand."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from lit_humor.core.errors import UserError
from lit_humor.pages.page import Grid
from lit_humor.reporting.comparison import write_comparison
from lit_humor.reporting.evidence import read_run
from lit_humor.reporting.figures import curves_of_a_size
from lit_humor.reporting.run_page import write_report
from lit_humor.runs import record
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.reports.classification.predictions import read_predictions
from lit_humor.tasks.reports.classification.rows import pairs_in_order, twin_pairs
from lit_humor.tasks.reports.classification.sections import calibrate
from lit_humor.tasks.reports.paired import mcnemar

NAMES = ("not humor", "humor")
EVIL = "<script>alert('ha')</script> & co"


def make_run(folder: Path, seed: int = 0, rows_seed: int = 0) -> Path:
    """A finished run of 60 validation and 60 test rows, 20 of them twins, one text of HTML."""
    results = {split: _write_split(folder, split, seed, rows_seed) for split in ("val", "test")}
    baseline = {split: {"f1": 0.5, "accuracy": 0.5} for split in results}
    best = {"monitor": "val/f1", "epoch": 1}
    result = {
        "results": results,
        "baseline": {"results": baseline},
        "definitions": Classification.definitions,
        "best": best,
        "steps": 8,
    }
    split = {
        "origin": "by hand",
        "rows": 60,
        "classes": {"humor": 30},
        "tokens": {"p50": 9},
        "truncated": 0,
        "duplicates": 0,
    }
    report = {
        "splits": dict.fromkeys(results, split),
        "leaks": {"val/test": 0},
        "label_conflicts": 0,
        "groups_across": 0,
    }
    plan = {"window_size": 32, "devices": 1, "reasons": {"devices": "one"}}
    environment = {
        "command": ["train.py", f"seed={seed}"], "commit": "abc", "uncommitted": "", "python": "3.11", "plan": plan,
        "packages": {"torch": "2"}, "machine": {"processor": "by hand", "threads": 2, "gpus": []},
    }  # fmt: skip
    for name, content in (
        (record.RESULT, result), (record.DATA_REPORT, report), (record.ENVIRONMENT, environment),
    ):  # fmt: skip
        record.write_json(folder / name, content)
    record.write_text(folder / record.CONFIG, f"seed: {seed}\ndata: {{split_seed: {seed}}}\n")
    lines = ["epoch,lr-AdamW/head,step,time/epoch_seconds,train/loss,val/accuracy,val/f1,val/loss", ",0.1,1,,,,,"]
    lines += ["0,,2,,0.7,0.5,0.4,0.8", "0,,2,9.5,,,,", "1,,4,,0.6,0.6,0.5,0.7", "1,,4,9.1,,,,", "2,,5,,,0.9,0.9,0.1"]
    record.write_text(folder / record.METRICS, "\n".join(lines) + "\n")
    return folder


def _write_split(folder: Path, split: str, seed: int, rows_seed: int) -> dict[str, object]:
    rows, judge = np.random.default_rng(rows_seed), np.random.default_rng(seed)
    labels = np.arange(60) % 2
    scores = np.clip(0.5 + (labels - 0.5) * 0.5 + judge.normal(scale=0.3, size=60), 0.01, 0.99)
    scores[0] = 0.999  # the row of HTML is the surest mistake
    predicted = (scores > 0.5).astype(int)
    columns = {
        "id": [f"{split}{row}" for row in range(60)],
        "text": [EVIL, *(f"text {rows.integers(10**6)}" for _ in range(59))],
        "label": [NAMES[label] for label in labels],
        "prediction": [NAMES[label] for label in predicted],
        "p_not humor": 1 - scores,
        "p_humor": scores,
        "tokens": rows.integers(3, 40, size=60),
        "group": [f"pair{row // 2}" if row < 20 else f"alone{row}" for row in range(60)],
        "language": ["en", "es", None] * 20,
    }
    (folder / record.PREDICTIONS).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / record.PREDICTIONS / f"{split}.parquet")
    return {"f1": float(f1_score(labels, predicted)), "accuracy": float((labels == predicted).mean()), "rows": 60}


def test_a_report_is_whole_and_stands_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    html = write_report(run).read_text()
    sections = re.findall(r'<section id="([^"]+)"', html)
    assert sections == [
        "results", "learning", "confusion", "slices", "probabilities", "mistakes", "close-calls", "doubtful-labels",
        "twins", "data", "how-it-was-made",
    ]  # fmt: skip
    assert EVIL not in html
    assert "&lt;script&gt;alert" in html
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", html)
    assert (
        html.count("<svg ")
        == len(re.findall(r'<svg role="img".*?<title>[^<]+ the tables</title>', html, re.DOTALL))
        == 5
    )
    pictures = list((run / "report").glob("*.svg"))
    assert len(pictures) == 5
    for picture in pictures:
        ElementTree.parse(picture)
    assert "train.py seed=0" in html
    f1 = json.loads((run / record.RESULT).read_text())["results"]["test"]["f1"]
    assert re.search(rf"{f1:.3f} \[0\.\d+, \d\.\d+\]", html)


def test_the_tables_hold_the_scores_of_scikit_learn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    found = read_predictions(run / record.PREDICTIONS / "test.parquet")
    html = write_report(run).read_text()
    test = html[html.index("test: classes") :]
    for name, *scores in zip(NAMES, *precision_recall_fscore_support(found.labels, found.predicted), strict=True):
        row = test[test.index(f"<td>{name}</td>") :].split("</tr>")[0]
        assert re.findall(r">(\d\.\d{3}) \[", row) == [f"{score:.3f}" for score in scores[:3]]
        assert row.endswith(f">{scores[3]}</td>")
    counts = confusion_matrix(found.labels, found.predicted)
    for count, share in zip(counts.ravel(), (counts / counts.sum(axis=1, keepdims=True)).ravel(), strict=True):
        assert f"{count} ({share:.1%})" in html


def test_calibration_is_fitted_on_validation_and_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_report(run)
    kept = json.loads((run / record.CALIBRATION).read_text())
    assert kept == calibrate(read_run(run))
    assert set(kept) == {"temperature", "threshold"}
    (run / record.PREDICTIONS / "val.parquet").unlink()
    assert calibrate(read_run(run)) == {}
    assert "Temperature" not in write_report(run).read_text()


def test_a_language_with_enough_validation_rows_gets_its_own_threshold(tmp_path: Path) -> None:
    """English is as sure as it should be, Spanish lies below 0.5 as a whole; Italian has 99 rows, one too few."""
    run = make_run(tmp_path / "run")
    assert "by language (" not in write_report(run).read_text()
    languages = np.repeat(["en", "es", "it"], [100, 120, 99])
    labels = np.arange(len(languages)) % 2
    scores = np.where(labels == 1, 0.9, 0.1) * np.where(languages == "es", 0.4, 1.0)
    columns = {
        **{"id": [str(row) for row in range(len(labels))], "text": ["a text"] * len(labels)},
        **{"label": [NAMES[label] for label in labels], "prediction": [NAMES[int(score > 0.5)] for score in scores]},
        **{"p_not humor": 1 - scores, "p_humor": scores, "language": languages},
    }
    for split in ("val", "test"):
        pq.write_table(pa.table(columns), run / record.PREDICTIONS / f"{split}.parquet")
    html = write_report(run).read_text()
    assert "Temperature by language (test)" in html
    table = html[html.index("Threshold by language (test)") :].split("</table>")[0]
    rows = [re.findall(r">([^<>]+)</td>", row) for row in table.split("</tr>") if "</td>" in row]
    assert [row[:2] for row in rows] == [["en", "100"], ["es", "120"]]
    (_, *_, en_half, en_shared, en_own), (_, *_, es_half, es_shared, es_own) = rows
    assert (en_half, en_own, es_half, es_own) == ("1.000", "1.000", "0.000", "1.000")
    assert {en_shared, es_shared} == {"1.000"}


def test_epochs_are_those_of_training(tmp_path: Path) -> None:
    """The scores after training stand in metrics.csv too; a line that is being written does not count yet."""
    run = make_run(tmp_path / "run")
    found = read_run(run)
    assert [row["val/f1"] for row in found.epochs] == [0.4, 0.5]
    assert found.epochs[1]["time/epoch_seconds"] == 9.1
    assert len(found.steps) == 1
    with (run / record.METRICS).open("a") as file:
        file.write("0.7,1e-")
    assert read_run(run).epochs == found.epochs


def test_slices_and_twins_hold_their_rows(tmp_path: Path) -> None:
    found = read_predictions(make_run(tmp_path / "run") / record.PREDICTIONS / "test.parquet")
    slices = found.slices()
    assert set(slices["language"]) == {"en", "es"}
    assert sorted(np.concatenate(list(slices["length"].values()))) == list(range(60))
    assert 3 <= len(slices["length"]) <= 4
    pairs = twin_pairs(found)
    assert pairs.tolist() == [[row, row + 1] for row in range(0, 20, 2)]
    scores = found.probabilities[:, 1]
    ahead = sum(scores[joke] > scores[serious] for serious, joke in zip(range(0, 20, 2), range(1, 20, 2), strict=True))
    assert 0 < pairs_in_order(found, pairs) == pairs_in_order(found, pairs[:, ::-1]) == ahead < 10
    assert pairs_in_order(replace(found, probabilities=np.full((60, 2), 0.5)), pairs) == 5
    assert f"in {ahead} of 10 pairs, {ahead / 10:.3f} [" in write_report(tmp_path / "run").read_text()


def test_a_run_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a run that is done"):
        write_report(tmp_path)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    first, second = np.array([True] * 12 + [False] * 4 + [True] * 9), np.array([False] * 12 + [True] * 4 + [True] * 9)
    assert mcnemar(first, second) == (12, 4, pytest.approx(2 * binom.cdf(4, 16, 0.5)))
    assert mcnemar(first, first) == (0, 0, 1.0)


def test_two_runs_are_compared_on_the_same_rows_only(tmp_path: Path) -> None:
    one, other = make_run(tmp_path / "one"), make_run(tmp_path / "other", seed=1)
    found = write_comparison(one, other, tmp_path / "page.html")
    results = [json.loads((run / record.RESULT).read_text())["results"]["test"] for run in (one, other)]
    assert found.differences["accuracy_difference"] == pytest.approx(results[1]["accuracy"] - results[0]["accuracy"])
    html = (tmp_path / "page.html").read_text()
    assert "disagreements in test" in html
    assert "<td>seed</td>" in html.replace(' class="number"', "")
    assert EVIL not in html
    with pytest.raises(UserError, match="other rows in val"):
        write_comparison(one, make_run(tmp_path / "third", rows_seed=5), tmp_path / "no.html")
    assert not (tmp_path / "no.html").exists()


def test_numbers_stand_at_the_right() -> None:
    grid = Grid("", ["a", "b", "c"], [["1", "x", ""], ["-2.5", "1", "3"]])
    assert grid.numeric == [True, False, True]


def test_a_page_needs_no_torch() -> None:
    code = "import sys, lit_humor.reporting.run_page, lit_humor.reporting.comparison; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("f1", "drawn"), [(0.5, 2), (0.0, 2), (400.0, 1)])
def test_two_curves_share_an_axis_where_their_sizes_are_alike(tmp_path: Path, f1: float, drawn: int) -> None:
    run = read_run(make_run(tmp_path / "run"))
    epochs = [{**row, "val/f1": f1, "val/accuracy": 0.5} for row in run.epochs]
    assert len(curves_of_a_size(replace(run, epochs=epochs))) == drawn
