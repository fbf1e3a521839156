"""Mistakes in files of answers to the rows of a run, and in columns of raters."""

# ruff: noqa: E501
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lit_humor.runs import record
from tests.e2e.remedies.data import HEADER, MODEL
from tests.e2e.remedies.runs import copy_run
from tests.e2e.remedies.telling import Case
from tests.obeying import Line

Make = Callable[[Path, Path], None]
OF_ONE = "runs=[RUNS/one,FOLDER/answers.csv]"
OF_COPY = "runs=[FOLDER/logs/run,FOLDER/answers.csv]"
RATED = HEADER.replace("label", "label,rater_1,rater_2,note") + "".join(
    f"a {'joke' if row % 2 else 'report'} about {row} things,{row % 2},{row % 2},{row % 3 % 2},note {row}\n"
    for row in range(120)
)
TO_RATE = ("data=csv", "data.train_path=FOLDER/train.csv", *MODEL[:1], "paths.logs_dir=FOLDER/logs")


def asked_by(run: Path) -> dict[str, list[Any]]:
    """Predictions of a run of its test split, which has to be answered."""
    return pq.read_table(run / record.PREDICTIONS / "test.parquet").to_pydict()


def _write(folder: Path, run: Path, **columns: str) -> None:
    """Answers to all rows of a run, the same of each; ``{text}`` stands for its own text."""
    asked = asked_by(run)
    rows = [",".join([name, *columns.values()]) for name in asked["id"]]
    (folder / "answers.csv").write_text("\n".join([",".join(["id", *columns]), *rows]) + "\n")


def _answer(folder: Path, line: Line) -> Line:
    """Do what the sentence says in the file: ids of the run, and an answer beside each."""
    runs = next(one for one in line.arguments if one.startswith("runs="))
    _write(folder, Path(runs.removeprefix("runs=[").split(",")[0]), answer="1")
    return line


def _another_run(folder: Path, line: Line) -> Line:
    """A run of rows with ids of their own, as if it had been trained again."""
    copied = folder / "logs" / "run"
    _change(copied, id=lambda rows: [str(row) for row in range(rows)])
    return _answer(folder, line)


def _change(run: Path, **columns: Callable[[int], list[Any]]) -> None:
    """Change or add columns of all predictions of a run."""
    for path in (run / record.PREDICTIONS).glob("*.parquet"):
        table = pq.read_table(path)
        kept = table.select([name for name in table.column_names if name not in columns])
        for name, values in columns.items():
            kept = kept.append_column(name, pa.array(values(len(table))))
        pq.write_table(kept, path)


def _ids_twice(folder: Path, runs: Path) -> None:
    copy_run("one")(folder, runs)
    _change(folder / "logs" / "run", id=lambda rows: ["one and the same"] * rows)


def _three_classes(folder: Path, runs: Path) -> None:
    copy_run("one")(folder, runs)
    _change(folder / "logs" / "run", p_pun=lambda rows: [0.0] * rows)


def _answered(**columns: str) -> Make:
    return lambda folder, runs: _write(folder, runs / "one", **columns)


def _only_run(folder: Path, runs: Path) -> None:
    copy_run("one")(folder, runs)
    _write(folder, runs / "one", answer="1")


def _wrong(content: str, line: str = OF_ONE, make: Make | None = None, **more: Any) -> Case:
    files: Mapping[str, str] = {"answers.csv": content} if content else {}
    return Case("report", (line,), files=files, make=make, to_the_end=True, hand=_answer, **more)


CASES = {
    "answers: no run": Case("report", ("runs=[FOLDER/answers.csv,FOLDER/answers.csv]", "paths.logs_dir=FOLDER/logs"), make=_only_run, to_the_end=True, way="leave runs"),
    "answers: to a run of numbers": Case("report", ("runs=[RUNS/rated,FOLDER/answers.csv]",), files={"answers.csv": "id,answer\n1,1\n"}, to_the_end=True),
    "answers: no ids": _wrong("key,answer\n1,1\n"),
    "answers: none": _wrong("id,said\n1,1\n"),
    "answers: in two columns": _wrong("", make=_answered(label="1", probability="0.3")),
    "answers: an id twice": _wrong("id,answer\n1,1\n1,0\n"),
    "answers: to other rows": _wrong("id,answer\nx,1\n"),
    "answers: blank": _wrong("", make=_answered(answer="")),
    "answers: to other texts": _wrong("", make=_answered(text="something else", answer="1")),
    "answers: in other words": _wrong("", make=_answered(answer="funny")),
    "answers: per cent": _wrong("", make=_answered(probability="85")),
    "answers: quotes": Case("report", (OF_ONE, "quoting=nonee"), make=_answered(answer="1"), to_the_end=True),
    "answers: broken quotes": _wrong('id,answer,why\n1,1,"a joke" indeed, "so\n'),
    "answers: a probability for three classes": _wrong("id,probability\n1,0.3\n", OF_COPY, _three_classes),
    "answers: to a run with ids that stand twice": Case("report", (OF_COPY,), files={"answers.csv": "id,answer\n1,1\n"}, make=_ids_twice, to_the_end=True, hand=_another_run),
    "raters: a column that is not there": Case("audit", (*TO_RATE, "raters=[rater_1,rater2]"), files={"train.csv": RATED}, to_the_end=True),
    "raters: one": Case("audit", (*TO_RATE, "raters=[rater_1]"), files={"train.csv": RATED}, to_the_end=True),
    "raters: no labels": Case("audit", (*TO_RATE, "raters=[rater_1,note]"), files={"train.csv": RATED}, to_the_end=True),
}  # fmt: skip
