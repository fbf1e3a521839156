"""Mistakes in files of rows: headers, quotes, JSON that is no rows, and labels that fit no class."""

# ruff: noqa: E501
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.remedies.data import GOOD, HEADER, MODEL, ROWS, from_file, good_jsonl, write
from tests.e2e.remedies.settings import take
from tests.e2e.remedies.telling import Case

TEXTS = [f"{'a joke' if row % 2 else 'a report'} about {row} things" for row in range(40)]
RATED = "text,label\n" + "".join(f"{text},{row / 10}\n" for row, text in enumerate(TEXTS))


def from_json(content: object, **more: object) -> Case:
    """A training on a JSON file."""
    text = content if isinstance(content, str) else json.dumps(content)
    return from_file(text, name="train.json", **more)  # type: ignore[arg-type]


def _doubled_column(folder: Path, runs: Path) -> None:
    """Parquet can hold two columns of one name."""
    texts = pa.array(TEXTS)
    pq.write_table(pa.Table.from_arrays([texts, texts], names=["text", "text"]), folder / "train.parquet")


OBJECTS = [{"text": text, "label": row % 2} for row, text in enumerate(TEXTS)]
MENDED = write(good_jsonl(), "train.jsonl")

CASES = {
    "a folder": Case("train", ("data=csv", "data.train_path=FOLDER/in", *MODEL), files={"in/train.csv": GOOD}, hand=take("data.train_path=FOLDER/in/train.csv")),
    "some of several files": from_file(GOOD, "data.train_path=FOLDER/train.csv,FOLDER/b.csv"),
    "several files": from_file(GOOD, "data.train_path=FOLDER/train.csv,FOLDER/b.csv", make=lambda folder, runs: (folder / "b.csv").write_text(GOOD) and None),
    "several files to evaluate on": Case(
        "eval", ("run=RUNS/one", "data=csv", "data.test_path=FOLDER/a.csv,FOLDER/b.csv"), files={"a.csv": GOOD, "b.csv": GOOD}, to_the_end=True,
    ),
    "a list without brackets": from_file(GOOD.replace(",0\n", ",a\n").replace(",1\n", ",b\n"), "data.label_names=a,b"),
    "a comma in a plan": Case("sweep", ("data=csv", "data.train_path=FOLDER/a,b.csv", *MODEL, "n=1"), files={"a,b.csv": GOOD}),
    "a comment above the header": from_file("# made by hand\n" + GOOD),
    "blanks in the header": from_file("text label\n" + ROWS),
    "no header": from_file(ROWS),
    "a header on two lines": from_file('text,"label\n' + ROWS, hand=write(GOOD)),
    "a separator and nothing else": from_file("sep=;\n", hand=write(GOOD)),
    "a header of another separator": from_file("text;label\n" + ROWS, hand=write(GOOD)),
    "broken quotes": from_file(GOOD + '"a "joke" of one\n', "data.quoting=standard", hand=write(GOOD)),
    "texts to labels": from_json(dict(zip(TEXTS, [0, 1] * 20, strict=True))),
    "keys to texts": from_json({str(row): text for row, text in enumerate(TEXTS * 2)}, hand=MENDED),
    "labels to texts": from_json({"0": TEXTS[::2], "1": TEXTS[1::2]}),
    "several lists of rows": from_json({"train": OBJECTS, "val": OBJECTS}, hand=MENDED),
    "a broken document": from_json("[\n" + good_jsonl(), hand=MENDED),
    "a key twice": from_file(good_jsonl() + '{"text": "one", "text": "two", "label": 1}\n', name="train.jsonl", hand=MENDED),
    "a list twice": from_json(f'{{"rows": {json.dumps(OBJECTS)}, "rows": []}}', hand=MENDED),
    "columns of unequal length": from_json({"text": TEXTS, "label": [0, 1]}, hand=MENDED),
    "a column of pandas twice": from_json({"columns": ["text", "text"], "data": []}, hand=MENDED),
    "a value of pandas too few": from_json({"columns": ["text", "label"], "data": [["one"]]}, hand=MENDED),
    "a column of Parquet twice": Case("train", ("data=csv", "data.train_path=FOLDER/train.parquet", *MODEL), make=_doubled_column, hand=write(GOOD)),
    "a threshold of three classes": from_file(RATED, "data.label_threshold=2", "data.label_names=[a,b,c]"),
    "an alias of none": from_file(GOOD, "data.label_aliases={x: y}", hand=take("data.label_aliases")),
    "no such column of groups": from_file(RATED, "data.label_threshold=2", "data.group_column=speaker"),
    "a threshold that is no number": from_file(RATED, "data.label_threshold=nan"),
    "a threshold above all numbers": from_file(RATED, "data.label_threshold=9"),
    "a class of one row": from_file(HEADER + ROWS.replace(",1\n", ",0\n") + "a pun,1\n", hand=write(GOOD)),
    "numbers for names": Case(
        "eval", ("run=RUNS/spam", "data=csv", "data.test_path=FOLDER/in.csv"), files={"in.csv": HEADER + "a joke,1\na pun,1\n"}, to_the_end=True,
    ),
}  # fmt: skip
