"""Somebody's answers beside a run: which rows count, how answers are read, and what is refused."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom
from sklearn.metrics import accuracy_score, f1_score

from lit_humor.core.errors import UserError
from lit_humor.reporting.comparison import write_comparison
from lit_humor.reporting.evidence import read_run
from lit_humor.runs import record
from lit_humor.tasks.reports.answers import is_answers
from lit_humor.tasks.reports.classification.answers import beside
from lit_humor.tasks.reports.classification.predictions import Predictions, predictions_of, read_predictions
from tests.unit.test_reporting import NAMES, make_run

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("logs") / "run")


def of_test(run: Path) -> Predictions:
    return read_predictions(run / record.PREDICTIONS / "test.parquet")


def answers_to(rows: Sequence[int], right: bool = True) -> Rows:
    """The true label of some rows of the run, odd rows being humor, or the other one."""
    return [{"id": f"test{row}", "answer": NAMES[(row % 2 == 1) == right]} for row in rows]


def write(path: Path, rows: Rows) -> Path:
    """Rows in a file of any ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def test_scores_and_tests_are_those_of_other_libraries_on_the_rows_in_common(run: Path, tmp_path: Path) -> None:
    rows = [*answers_to(range(40)), *answers_to(range(40, 52), right=False), {"id": "other", "answer": "humor"}]
    rows[3]["answer"] = ""
    path = write(tmp_path / "model.csv", rows[::-1])
    found = write_comparison(run, path, tmp_path / "page.html")
    true, common = of_test(run), [row for row in range(52) if row != 3]
    labels, own = true.labels[common], true.predicted[common]
    theirs = np.where(np.asarray(common) < 40, labels, 1 - labels)
    assert found.differences["accuracy_difference"] == pytest.approx(
        accuracy_score(labels, theirs) - accuracy_score(labels, own)
    )
    assert found.differences["f1_difference"] == pytest.approx(f1_score(labels, theirs) - f1_score(labels, own))
    alone = [int(((own == labels) & (theirs != labels)).sum()), int(((own != labels) & (theirs == labels)).sum())]
    expected = min(1.0, 2 * binom.cdf(min(alone), sum(alone), 0.5))
    assert found.differences["mcnemar_p"] == pytest.approx(expected)
    assert "to 51 of 60 rows of test; 9 of the run without an answer are left out; 1 of its rows" in found.note
    html = (tmp_path / "page.html").read_text()
    assert f"of {int((own != theirs).sum())} disagreements in test" in html
    row = html[html.index("<td>accuracy</td>") :].split("</tr>")[0]
    scores = [f"{accuracy_score(labels, predicted):.3f}" for predicted in (own, theirs)]
    assert re.findall(r">(\d\.\d{3}) \[0\.\d+, \d\.\d+\]", row) == scores
    assert "disagreements in val" not in html


def test_order_ending_and_spelling_of_answers_are_free(run: Path, tmp_path: Path) -> None:
    rows = answers_to(range(60))
    expected = write_comparison(run, write(tmp_path / "a.csv", rows), tmp_path / "page.html").differences
    digits: Rows = [{"id": row["id"], "label": NAMES.index(row["answer"])} for row in rows]
    truths: Rows = [{"id": row["id"], "is_humor": row["answer"] == "humor"} for row in rows]
    chances: Rows = [{"probability": 0.9 if row["answer"] == "humor" else 0.2, "id": row["id"]} for row in rows]
    given: Rows = [{**row, "prediction": row["answer"], "label": "humor"} for row in rows]
    for row in given:
        del row["answer"]
    for name, shape in (("b.tsv", digits), ("c.jsonl", truths), ("d.parquet", chances), ("e.parquet", given)):
        found = write_comparison(run, write(tmp_path / name, shape), tmp_path / "page.html")
        assert found.differences == expected, name
    turned = write_comparison(tmp_path / "d.parquet", run, tmp_path / "page.html").differences
    assert turned["accuracy_difference"] == pytest.approx(-expected["accuracy_difference"])


def test_probabilities_are_kept_and_columns_of_the_run_stay(run: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [{"id": "test7", "probability": "0.25"}, {"id": "test2", "probability": ""}])
    pair = beside(read_run(run), path, "auto")[:2]
    own, theirs = (predictions_of(one)["test"] for one in pair)
    assert theirs.probabilities.tolist() == [[0.75, 0.25]]
    assert own.probabilities.tolist() == [of_test(run).probabilities[7].tolist()]
    assert theirs.columns["text"] == own.columns["text"] == [of_test(run).columns["text"][7]]
    assert theirs.columns["prediction"] == ["not humor"]


def test_texts_are_compared_but_for_their_blanks(run: Path, tmp_path: Path) -> None:
    text = of_test(run).columns["text"]
    rows: Rows = [{**row, "text": f" {text[int(row['id'][4:])]}\n"} for row in answers_to(range(5))]
    assert "5 of 60" in beside(read_run(run), write(tmp_path / "a.jsonl", rows), "auto")[2]
    rows[3]["text"] = "another joke"
    with pytest.raises(UserError, match="line 4, column 'text': found 'another joke', expected the text of 'test3'"):
        beside(read_run(run), write(tmp_path / "a.jsonl", rows), "auto")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*answers_to([1, 2]), *answers_to([1])], r"line 4, column 'id': found 'test1' again, as in line 2"),
        ([{"id": "test1", "answer": "funny"}], r"line 2, column 'answer': found label 'funny', expected 'not humor', "),
        ([{"id": "1", "answer": "humor"}], r"no answers to rows of test among those to '1', expected a column 'id'"),
        ([{"id": "test1", "answer": " "}], "found no answers"),
        ([{"id": "test1", "probability": "85"}], "line 2, column 'probability': found '85', expected the probability"),
        ([{"id": "test1", "probability": "high"}], "found 'high'"),
        ([{"id": "test1", "label": "1", "probability": "1"}], "columns label and probability, expected one column"),
        ([{"key": "test1", "label": "1"}], "expected a column id"),
        ([{"id": "test1", "said": "1"}], "expected a column answer or prediction"),
    ],
)
def test_what_is_refused(run: Path, tmp_path: Path, rows: Rows, message: str) -> None:
    with pytest.raises(UserError, match=message) as told:
        beside(read_run(run), write(tmp_path / "answers.csv", rows), "auto")
    assert str(tmp_path / "answers.csv") in str(told.value)


def test_a_probability_does_not_choose_among_three_classes(run: Path, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "three")
    for split in ("val", "test"):
        path = folder / record.PREDICTIONS / f"{split}.parquet"
        table = pq.read_table(path)
        pq.write_table(table.append_column("p_pun", pa.array(np.zeros(len(table)))), path)
    answers = write(tmp_path / "a.csv", [{"id": "test1", "probability": 1}])
    with pytest.raises(UserError, match="one probability a row, for the 3 classes"):
        beside(read_run(folder), answers, "auto")
    puns = write(tmp_path / "b.csv", [{"id": "test1", "answer": "pun"}])
    assert predictions_of(beside(read_run(folder), puns, "auto")[1])["test"].predicted.tolist() == [2]


def test_ids_of_a_run_that_stand_twice_match_nothing(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    path = folder / record.PREDICTIONS / "test.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index("id"), "id", pa.array(["a"] * len(table))), path)
    with pytest.raises(UserError, match="id 'a' twice in test of the run"):
        beside(read_run(folder), write(tmp_path / "a.csv", [{"id": "a", "answer": 1}]), "auto")


def test_a_file_is_told_from_a_run(run: Path, tmp_path: Path) -> None:
    assert is_answers(str(tmp_path / "missing.jsonl"))
    assert is_answers(str(run / record.CONFIG))
    assert not is_answers(str(run))
    assert not is_answers("v1.2")
    (tmp_path / "run.csv").mkdir()
    assert not is_answers(str(tmp_path / "run.csv"))
