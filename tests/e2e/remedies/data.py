"""Mistakes in data: files, columns, labels, splits, orders by difficulty."""

# ruff: noqa: E501
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.remedies.settings import take
from tests.e2e.remedies.telling import Case
from tests.obeying import Line

HEADER = "text,label\n"
ROWS = "".join(f"{'a joke' if row % 2 else 'a report'} about {row} things,{row % 2}\n" for row in range(40))
GOOD = HEADER + ROWS
MODEL = ("model=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs")


def from_file(content: str | bytes, *wrong: str, name: str = "train.csv", **more: object) -> Case:
    """A training on a file."""
    arguments = ("data=csv", f"data.train_path=FOLDER/{name}", *MODEL, *wrong)
    return Case("train", arguments, files={name: content}, **more)  # type: ignore[arg-type]


def write(content: str, name: str = "train.csv") -> Callable[[Path, Line], Line]:
    """A hand that mends a file as somebody would who reads the sentence."""

    def hand(folder: Path, line: Line) -> Line:
        (folder / name).write_text(content)
        key = next(
            (one.partition("=")[0] for one in line.arguments if f"{folder}/{Path(name).stem}" in one), "data.train_path"
        )
        return line.having(f"{key}={folder / name}")

    return hand


def _jsonl(*rows: Mapping[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def good_jsonl() -> str:
    return _jsonl(*({"text": f"text {row} of some", "label": row % 2} for row in range(40)))


def _predictions(folder: Path, runs: Path) -> None:
    """Of rows that no training has."""
    table = pa.table({"id": ["x"], "p_not humor": [0.5], "p_humor": [0.5]})
    pq.write_table(table, folder / "other.parquet")


BY_CONFIDENCE = ("data=tiny", *MODEL, "data.order=easy_first", "data.difficulty=confidence")
SCORED = {"<run>": "RUNS/one", "logs/scored": "FOLDER/scored"}

CASES = {
    "no file named": Case("train", ("data=csv", *MODEL), files={"train.csv": GOOD}, fill={"<file>": "FOLDER/train.csv"}),
    "no such file": from_file(GOOD, "data.val_path=FOLDER/vall.csv", hand=write(GOOD, "vall.csv")),
    "half a reference in the name of a file": from_file(GOOD, name="${x.csv"),
    "a reference in the name of a file": from_file(GOOD, name="${x}.csv"),
    "an ending of none": from_file(GOOD, name="train.xls", hand=write(GOOD)),
    "no rows": from_file(HEADER, hand=write(GOOD)),
    "nothing in it": from_file("", hand=write(GOOD)),
    "UTF-16": from_file(GOOD.encode("utf-16")),
    "Latin-1": from_file(GOOD.replace("joke", "blöd").encode("latin1")),
    "a NUL byte": from_file(GOOD.replace("joke", "jo\0ke").encode(), hand=write(GOOD)),
    "a column twice": from_file(GOOD.replace("text,label", "text,text"), hand=write(GOOD)),
    "another separator": from_file(GOOD + "a joke;1\n", hand=write(GOOD)),
    "swallowed rows": from_file(GOOD + '"a joke,1\na report,0\na story",1\n'),
    "fields too many": from_file(GOOD + "a joke, and more,1,0\n", hand=write(GOOD)),
    "no JSON": from_file(good_jsonl() + "{\n", name="train.jsonl", hand=write(good_jsonl(), "train.jsonl")),
    "no Parquet": from_file(b"PAR1", name="train.parquet", hand=write(GOOD)),
    "an unknown column": from_file(
        GOOD.replace("text,", "joke,"), "data.text_column=jok", fill={"<one of the columns>": "joke"}, hand=take("data.text_column=joke")
    ),
    "no column of texts": from_file(GOOD.replace("text,", "words,"), hand=write(GOOD)),
    "an empty text": from_file(GOOD + ",1\n", way="fill in", hand=write(GOOD)),
    "half a character": from_file(
        good_jsonl() + '{"text": "half \\ud800", "label": 1}\n', name="train.jsonl", hand=write(good_jsonl(), "train.jsonl")
    ),
    "no number": from_file(
        GOOD.replace("text,", "level,text,").replace("\na ", "\n1,a ").replace("1,a report about 0", "x,a report about 0"),
        "data.difficulty=column", "data.order=easy_first", "data.difficulty_column=level",
        hand=write(GOOD.replace("text,", "level,text,").replace("\na ", "\n1,a ")),
    ),
    "an unknown label": from_file(
        GOOD.replace(",0\n", ",ham\n").replace(",1\n", ",spam\n"), fill={"first,second,...": "ham,spam"},
        hand=take("data.label_names=[ham,spam]"),
    ),
    "no label": from_file(GOOD + "a last joke,\n", hand=write(GOOD)),
    "label names": from_file(GOOD, "data.label_names=[a,a]", hand=take("data.label_names")),
    "one row": from_file(HEADER + "a joke,1\n", hand=write(GOOD), errors=1),
    "one row to validate": from_file(GOOD, "data.val_path=FOLDER/val.csv", way="larger file", hand=write(GOOD, "val.csv"),
                                     make=lambda folder, runs: (folder / "val.csv").write_text(HEADER + "a joke,1\n") and None),
    "a class that is missing": from_file(GOOD, "data.val_path=FOLDER/val.csv", hand=write(GOOD, "val.csv"),
                                         make=lambda folder, runs: (folder / "val.csv").write_text(HEADER + "a joke,1\n" * 4) and None),
    "leaks": from_file(GOOD, "data.val_path=FOLDER/train.csv", "data.leaks=error", way="data.leaks=report"),
    "folds": from_file(GOOD, "data.folds=3", "data.fold=9", hand=take("data.fold=1")),
    "too many folds": from_file(GOOD, "data.folds=30", errors=1),
    "languages": Case("train", ("data=tiny", *MODEL, "data.languages=[xx]")),
    "stages": Case("train", ("data=tiny", *MODEL, "data.stages=3", "data.stage=9", "data.replay=2", "data.route=true",
                             "data.difficulty=confidence"), errors=3),
    "a stage without rows": from_file(
        HEADER + "".join(f"text {row:02d},{row % 2}\n" for row in range(40)), "data.stages=3", "data.stage=2", "data.test_fraction=0"
    ),
    "no column of difficulty": from_file(GOOD, "data.order=easy_first", "data.difficulty=column"),
    "no confidence": Case("train", BY_CONFIDENCE, fill=SCORED),
    "no predictions": Case("train", (*BY_CONFIDENCE, "data.difficulty_path=FOLDER/train.csv"), fill=SCORED, files={"train.csv": GOOD}),
    "predictions of others": Case("train", (*BY_CONFIDENCE, "data.difficulty_path=FOLDER/other.parquet"), fill=SCORED, make=_predictions),
    "a split of the hub": Case(
        "train", ("data=hub", "data.name=FOLDER/set", "data.splits.train=trian", *MODEL), files={"set/train.csv": GOOD},
        fill={"<one of these>": "train"}, hand=take("data.splits.train=train"),
    ),
    "no data set": Case("train", ("data=hub", "data.name=nobody/nothing", *MODEL), hand=take("data=demo", "data.name")),
    "no package for data sets": Case(
        "train", ("data=hub", "data.name=FOLDER/set", *MODEL), files={"set/train.csv": GOOD}, missing=("datasets",)
    ),
    "audit": Case("audit", ("data=csv", "data.train_path=FOLDER/train.csv", "model=tiny", "paths.logs_dir=FOLDER/logs", "similarity=2",
                            "fix=FOLDER"), files={"train.csv": GOOD}, to_the_end=True, errors=2, hand=take("fix=FOLDER/new"),
                  missing=("ftfy", "py3langid", "cleanlab")),
    "audit to nowhere": Case("audit", ("data=csv", "data.train_path=FOLDER/train.csv", "model=tiny", "paths.logs_dir=FOLDER/logs",
                                       "fix=/proc/x/y"), files={"train.csv": GOOD}, to_the_end=True, hand=take("fix=FOLDER/new")),
}  # fmt: skip
