"""JSON: keys that stand twice, rows with numbers, forms that are no rows, and long lists of columns."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_humor.core.errors import UserError, list_names
from lit_humor.data.reading.columns import TEXT_COLUMNS, find_column
from lit_humor.data.reading.streams import read_chunks
from lit_humor.data.reading.tables import read_table
from lit_humor.data.sources.files import TextFiles
from tests.obeying import run_command_in

_ROWS = [{"text": f"a line about {n} things", "label": n % 2} for n in range(60)]

DOUBLED = {
    "dict of rows": ('{"r1": {"text": "a"}, "r1": {"text": "c"}, "r2": {}}', r"row 2: .*'r1' twice, first in row 1"),
    "rows of a dict": ('{"r1": {"text": "a"}, "r2": {"text": "c", "text": "d"}}', r"row 2: found key 'text' twice"),
    "rows by number": ('{"0": {"text": "a"}, "0": {"text": "b"}}', r"row 2: found key '0' twice, first in row 1"),
    "row of a list": ('[{"text": "a", "label": 1}, {"text": "b", "label": 1, "label": 0}]', r"row 2: .*'label' twice"),
    "line": ('{"text": "a", "label": 1}\n{"text": "b", "label": 1, "label": 0}', r"line 2: found key 'label' twice"),
    "the only row": ('{"text": "b",\n "label": 1,\n "label": 1}', r"row 1: found key 'label' twice"),
    "columns": ('{"text": ["a"], "text": ["b"], "label": [1]}', r"in.json: found key 'text' twice"),
    "lists of rows": ('{"data": [{"text": "a"}], "data": [{"text": "b"}]}', r"in.json: found key 'data' twice"),
    "pandas": ('{"text": {"0": "a", "0": "b"}, "label": {"0": 1}}', r"row 2: found key '0' twice in 'text'"),
    "columns of pandas": ('{"text": {"0": "a"}, "text": {"0": "b"}}', r"found key 'text' twice"),
    "pandas split": ('{"columns": ["text", "text"], "data": [["a", "b"]]}', r"in.json: found column 'text' twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBLED)
def test_a_key_that_stands_twice_is_named(tmp_path: Path, case: str) -> None:
    content, message = DOUBLED[case]
    path = tmp_path / "in.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_table(path)
    assert "expected each" in str(caught.value)


@pytest.mark.parametrize("content", [DOUBLED["row of a list"][0], DOUBLED["line"][0]])
def test_predict_leaves_a_row_with_a_key_twice_out_and_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "in.json").write_text(content)
    (chunk,) = read_chunks(tmp_path / "in.json", 9)
    assert [(one.line, one.reason) for one in chunk.rejected] == [(2, "key 'label' twice")]
    assert len(chunk.rows) == 1


def test_columns_of_parquet_stand_once(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "in.parquet")
    for read in (read_table, lambda path: list(read_chunks(path, 9))):
        with pytest.raises(UserError, match="column 'text' twice"):
            read(tmp_path / "in.parquet")


SPLIT = ['[["a", 1], ["b"]]', '[["a", 1], ["b", 0, 5]]', '[["a", 1], "bc"]', '[["a", 1], 5]']


@pytest.mark.parametrize("data", SPLIT)
def test_rows_of_pandas_split_have_all_values(tmp_path: Path, data: str) -> None:
    (tmp_path / "in.json").write_text(f'{{"columns": ["text", "label"], "data": {data}}}')
    with pytest.raises(UserError, match=r"row 2: found .*expected 2 values as in columns \(text, label\)"):
        read_table(tmp_path / "in.json")


def test_a_list_of_rows_with_a_bad_one_is_no_other_list(tmp_path: Path) -> None:
    content = {"train": [*_ROWS[:2], None], "test": _ROWS[:1]}
    (tmp_path / "in.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="several lists of rows: train, test"):
        read_table(tmp_path / "in.json")
    (tmp_path / "in.json").write_text(json.dumps({"train": content["train"], "tags": ["a"]}))
    with pytest.raises(UserError, match="row 3: found 'null'"):
        read_table(tmp_path / "in.json")


FAULTS = {
    "label": ({"label": "huh"}, "column 'label': found label 'huh'"),
    "no label": ({"label": None}, "column 'label': found no label"),
    "empty text": ({"text": " "}, "column 'text': found an empty or blank text.*fill in the text"),
    "number": ({"text": 5}, "column 'text': found 5, expected a text. Fix: write it as a text, in quotes"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_rows_of_documents_are_rows_and_lines_are_lines(tmp_path: Path, case: str) -> None:
    fault, message = FAULTS[case]
    rows = [*_ROWS[:40], _ROWS[40] | fault, *_ROWS[41:]]
    documents = {
        "list.json": (json.dumps(rows, indent=2), "row 41"),
        "list.jsonl": (json.dumps(rows), "row 41"),
        "dict.json": (json.dumps({f"r{n}": row for n, row in enumerate(rows)}), "row 41"),
        "columns.json": (json.dumps({name: [row[name] for row in rows] for name in ("text", "label")}), "row 41"),
        "lines.json": ("\n".join(map(json.dumps, rows)), "line 41"),
        "lines.jsonl": ("\n\n" + "\n".join(map(json.dumps, rows)), "line 43"),
    }
    for name, (content, place) in documents.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=f"{name}, {place}, {message}"):
            TextFiles(train_path=str(tmp_path / name)).load()
    if case != "number":
        columns = {name: [str(row[name]) if row[name] is not None else None for row in rows] for name in rows[0]}
        pq.write_table(pa.table(columns), tmp_path / "in.parquet")
        with pytest.raises(UserError, match=f"in.parquet, row 41, {message}"):
            TextFiles(train_path=str(tmp_path / "in.parquet")).load()


def test_a_list_in_place_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps([*_ROWS, {"text": ["a", "b"], "label": 1}]))
    with pytest.raises(UserError, match=r"row 61, column 'text': found .*replace it by one text"):
        TextFiles(train_path=str(tmp_path / "in.json")).load()


OTHER_FORMS = {
    "labels by text": {row["text"]: row["label"] for row in _ROWS},
    "names by text": {row["text"]: ("not humor", "humor")[n % 2] for n, row in enumerate(_ROWS)},
    "two texts": {row["text"]: row["label"] for row in _ROWS[:2]},
    "texts by label": {name: [row["text"] for row in _ROWS if row["label"] == n] for n, name in enumerate("01")},
    "uneven": {"humor": [row["text"] for row in _ROWS[:7]], "not humor": [row["text"] for row in _ROWS[7:]]},
}


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
@pytest.mark.parametrize("case", OTHER_FORMS)
def test_texts_by_label_and_labels_by_text_are_named_and_the_command_writes_rows(
    tmp_path: Path, case: str, ending: str
) -> None:
    path = tmp_path / f"it's in{ending}"
    path.write_text(json.dumps(OTHER_FORMS[case]))
    with pytest.raises(UserError, match=r"a dict of|columns of unequal length: humor 7, not humor 53") as caught:
        TextFiles(train_path=str(path)).load()
    assert len(str(caught.value).replace(str(tmp_path), "")) < 400
    examples = TextFiles(train_path=str(run_command_in(caught.value))).load()["train"]
    assert sorted(examples.texts) == sorted(row["text"] for row in _ROWS[: 2 if case == "two texts" else None])
    assert set(examples.labels) == {0, 1}


def test_texts_by_id(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps({f"id{n}": row["text"] for n, row in enumerate(_ROWS)}))
    (chunk,) = read_chunks(tmp_path / "in.json", 99)
    with pytest.raises(UserError, match="a dict of 60 keys to texts") as caught:
        find_column(chunk.rows[0], None, TEXT_COLUMNS, "text_column", str(tmp_path / "in.json"))
    assert read_table(run_command_in(caught.value))["id"] == [f"id{n}" for n in range(60)]


COLUMNS = {
    "other names": ({"tweet": "a b c", "score": 1}, "set data.text_column=tweet"),
    "a dict of columns": ({"joke": ["a joke that is long"] * 3, "funny": ["yes", "no", "no"]}, "text_column=joke"),
    "several texts": ({"title": ["a long title, yes"] * 3, "body": ["a long body, yes"] * 3}, "columns: set .*=title"),
}  # fmt: skip


@pytest.mark.parametrize("case", COLUMNS)
def test_other_columns_are_still_suggested(tmp_path: Path, case: str) -> None:
    content, message = COLUMNS[case]
    (tmp_path / "in.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        TextFiles(train_path=str(tmp_path / "in.json")).load()


@pytest.mark.parametrize("content", ['{"text": ["a", "b", "c"], "label": [1, 0]}', '{"text": ["a"], "label": []}'])
def test_columns_of_unequal_length(tmp_path: Path, content: str) -> None:
    (tmp_path / "in.json").write_text(content)
    with pytest.raises(UserError, match=r"columns of unequal length: text \d, label \d.*a value for each row"):
        read_table(tmp_path / "in.json")


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
@pytest.mark.parametrize("comma", [",", ", ", ",\r"])
def test_commas_after_lines_are_named_and_the_command_deletes_them(tmp_path: Path, comma: str, ending: str) -> None:
    path = tmp_path / f"in{ending}"
    path.write_text("\n".join(json.dumps(row) + comma for row in _ROWS), newline="")
    with pytest.raises(UserError, match=r"line 1: .*with a comma at its end") as caught:
        read_table(path)
    assert len(read_table(run_command_in(caught.value))["text"]) == 60


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"} {"text": "b"}', "put each object on a line of its own"),
        ('{"text": "a" "label": 1}', "broken JSON .*correct it there"),
        ("{'text': 'a'}", "broken JSON .*correct it there"),
        ('["a", 1]', "write each row as an object"),
    ],
)
def test_lines_that_are_no_objects(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "in.jsonl").write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(UserError, match=f"line 2: found .*{message}"):
        read_table(tmp_path / "in.jsonl")


def test_long_lists_of_columns_are_shortened(tmp_path: Path) -> None:
    assert list_names("abcdefghij") == "a, b, c, d, e, f, g, h and 2 more"
    assert list_names(["one\nline", "x" * 99]) == f"one line, {'x' * 39}…"
    names = [f"column {n} " + "x" * 100 for n in range(3000)]
    (tmp_path / "in.csv").write_text(",".join(names) + "\n" + ",".join("a" for _ in names) + "\n")
    (tmp_path / "ragged.csv").write_text(",".join(names) + "\na,b\n")
    (tmp_path / "in.jsonl").write_text(json.dumps(dict.fromkeys(names, "a b")) + "\n" + json.dumps({"x": [1]}))
    pq.write_table(pa.table({name: ["a"] for name in names}), tmp_path / "in.parquet")
    for name in ("in.csv", "ragged.csv", "in.jsonl", "in.parquet"):
        with pytest.raises(UserError, match=r"2,99\d more|its 3,000 columns") as caught:
            TextFiles(train_path=str(tmp_path / name)).load()
        assert len(str(caught.value)) < 1500
        assert "\n" not in str(caught.value)
