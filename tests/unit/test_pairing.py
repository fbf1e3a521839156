"""The variants of a plan compared with the first one on rows of the same id."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

from lit_humor.runs import record
from lit_humor.sweeps.pairing import right_alone
from lit_humor.sweeps.planned_runs import PlannedRun
from lit_humor.sweeps.summary import write_summary
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.recorded import RecordedTasks, record_tasks
from lit_humor.tasks.regression import Regression
from lit_humor.tasks.task import Task

ANSWERS = {f"row {number}": f"answer {number}" for number in range(12)}
Done = list[tuple[PlannedRun, Path]]


def _tasks(**tasks: Task) -> RecordedTasks:
    return record_tasks(tasks, "val/perplexity", "min")


def _run(
    folder: Path, name: str, repeat: int, right: set[int], rows: list[int] | None = None
) -> tuple[PlannedRun, Path]:
    """A run of a variant whose texts are the answers, but for case, in some rows of those that it has."""
    numbers = list(range(12)) if rows is None else rows
    path = record.predictions_path(folder / f"{name}-{repeat}", "test")
    path.parent.mkdir(parents=True)
    columns: dict[str, list[Any]] = {"id": [f"row {number}" for number in numbers]}
    columns["answer"] = [ANSWERS[one] for one in columns["id"]]
    columns["prediction"] = [f"Answer {number}." if number in right else "answer" for number in numbers]
    pq.write_table(pa.table(columns), path)
    result = {"results": {"test": {"perplexity": 2.0, "exact_match": len(right) / 12, "rows": 12}}}
    record.write_json(folder / f"{name}-{repeat}" / record.RESULT, result)
    record.write_json(folder / f"{name}-{repeat}" / record.TASKS, _tasks(generation=Generation()).to_json())
    return PlannedRun(name, repeat, ()), folder / f"{name}-{repeat}"


@pytest.fixture
def done(tmp_path: Path) -> Done:
    """Two repeats of a first variant, one in another order, one with a part of the rows."""
    return [
        _run(tmp_path, "first", 1, {0, 1, 2, 3}),
        _run(tmp_path, "first", 2, {0, 1}),
        _run(tmp_path, "second", 1, {0, 4, 5, 6, 7, 8}, list(reversed(range(12)))),
        _run(tmp_path, "second", 2, {0, 1, 9}),
        _run(tmp_path, "part", 1, {2, 10}, [2, 3, 10]),
        _run(tmp_path, "other", 3, {1}),
    ]


def test_rows_are_counted_by_their_ids(done: Done) -> None:
    """By hand: the second has 4 to 8 alone, and 9; the first 1, 2 and 3. Of the part, 10 alone, and the first 3."""
    cells = right_alone(done, _tasks(generation=Generation()))
    p = binomtest(6, 9).pvalue
    assert cells == {"second": f"6 : 3 (p {p:.3f})", "part": "1 : 1 (p 1.000)"}, "other has no repeat of the first"


def test_one_table_has_it_beside_the_means(done: Done, tmp_path: Path) -> None:
    (table,) = write_summary(done, "seed", tmp_path / "set", "Plan", metric="exact_match")
    assert table.columns[2] == "exact_match"
    assert table.columns[-1] == "right alone : only first"
    assert [row[-1] for row in table.rows] == ["", "6 : 3 (p 0.508)", "1 : 1 (p 1.000)", ""]
    assert table.rows[1][-2].startswith("+0.125")
    assert "McNemar's exact test" in table.note
    (usual,) = write_summary(done, "seed", tmp_path / "usual", "Plan", metric="no such number")
    assert usual.columns[2] == "perplexity"


def test_classes_are_right_or_wrong_too(done: Done) -> None:
    for _, folder in done:
        path = record.predictions_path(folder, "test")
        columns = pq.read_table(path).to_pydict()
        labels = {"label": columns["answer"], "prediction": [text.lower().strip(".") for text in columns["prediction"]]}
        pq.write_table(pa.table(columns | labels), path)
    assert right_alone(done, _tasks(classification=Classification()))["second"].startswith("6 : 3")


def test_where_nothing_is_right_or_wrong(done: Done) -> None:
    assert right_alone(done, _tasks(regression=Regression())) == {}
    for _, folder in done[2:]:
        record.predictions_path(folder, "test").unlink()
    assert right_alone(done, _tasks(generation=Generation())) == {}
    for _, folder in done[:2]:
        path = record.predictions_path(folder, "test")
        pq.write_table(pq.read_table(path).drop_columns("prediction"), path)
    assert right_alone(done, _tasks(generation=Generation())) == {}
