"""Files of other kinds than their ending says, and the many forms of JSON."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.reading.streams import read_chunks
from lit_humor.data.reading.tables import LINE, read_table
from tests.obeying import run_command_in

ROWS = [{"text": "eins, zwei", "label": 1}, {"text": "drei\nvier", "label": 0}]
_COLUMNS = {name: [row[name] for row in ROWS] for name in ("text", "label")}

DOCUMENTS = {
    "list": json.dumps(ROWS),
    "list on many lines": json.dumps(ROWS, indent=2),
    "lines": "\n".join(map(json.dumps, ROWS)),
    "dict of rows": json.dumps({"x1": ROWS[0], "x2": ROWS[1]}),
    "dict of rows by number": json.dumps({"0": ROWS[0], "1": ROWS[1]}),
    "dict of columns": json.dumps(_COLUMNS),
    "pandas": json.dumps({name: dict(enumerate(values)) for name, values in _COLUMNS.items()}),
    "pandas split": json.dumps({"columns": ["text", "label"], "data": [list(row.values()) for row in ROWS]}),
    "one key": json.dumps({"data": ROWS}),
    "one key beside others": json.dumps({"version": 1, "tags": ["a"], "rows": ROWS}, indent=1),
    "byte order mark": "\ufeff" + json.dumps(ROWS),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_json(tmp_path: Path, case: str) -> None:
    path = tmp_path / "in.json"
    path.write_text(DOCUMENTS[case], encoding="utf-8")
    table = read_table(path)
    assert {name: table[name] for name in _COLUMNS} == _COLUMNS
    assert table[LINE] == [1, 2]
    chunks = list(read_chunks(path, 1))
    assert [row["text"] for chunk in chunks for row in chunk.rows] == _COLUMNS["text"]
    assert chunks[-1].share == 1.0


@pytest.mark.parametrize("case", ["list", "list on many lines", "lines"])
def test_a_list_under_the_ending_of_lines(tmp_path: Path, case: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(DOCUMENTS[case])
    assert read_table(path)["label"] == [1, 0]
    assert sum(len(chunk.rows) for chunk in read_chunks(path, 5)) == 2


def test_one_row_with_lists_in_it_is_a_row(tmp_path: Path) -> None:
    for ending in (".json", ".jsonl"):
        path = tmp_path / f"in{ending}"
        path.write_text(json.dumps({"text": "a", "label": 1, "tags": ["x"], "meta": {"n": 1}}))
        assert read_table(path)["tags"] == [["x"]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"text": "a"},\n {"te', r"line 2, column 3: found broken JSON"),
        ('{\n "data": [1,\n', r"line 3, column 1: found broken JSON"),
        ('[{"text": "a"}, 5]', r"row 2: found '5', expected one JSON object"),
        ("5", r"line 1: found '5'"),
        ("", "no rows"),
        ("[]", "no rows"),
        ('{"text": "a"}\n{"text": ', r"line 2: found '{\"text\": '"),
    ],
)
def test_json_that_is_no_table(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "in.json"
    path.write_text(content)
    with pytest.raises(UserError, match=told):
        read_table(path)


def test_several_lists_are_told_with_a_command(tmp_path: Path) -> None:
    path = tmp_path / "two's.json"
    path.write_text(json.dumps({"train": ROWS, "test": ROWS[:1]}))
    with pytest.raises(UserError, match="several lists of rows: train, test") as caught:
        read_table(path)
    assert read_table(run_command_in(caught.value))["label"] == [1, 0]


_CSV = "text,label\ncafé one,1\ntwo,0\n"

OF_ANOTHER_KIND = {
    "compressed": ("a.csv", gzip.compress(_CSV.encode()), "a compressed file"),
    "utf-16": ("a b.csv", _CSV.encode("utf-16"), "a file in UTF-16"),
    "utf-16 without a mark": ("a.csv", _CSV.encode("utf-16-le"), "as in a file in UTF-16"),
    "utf-16 the other way": ("a.tsv", _CSV.replace(",", "\t").encode("utf-16-be"), "as in a file in UTF-16"),
    "latin-1": ("it's.csv", _CSV.encode("latin-1"), "line 2: found byte 0xe9"),
    "a NUL byte": ("a.csv", _CSV.replace(" ", "\0 ").encode(), "line 2: found a NUL byte"),
    "json": ("a.csv", json.dumps({"text": ["café one", "two"], "label": [1, 0]}).encode(), "found JSON"),
    "text": ("a.parquet", _CSV.encode(), "no Parquet file"),
    "tabs in txt": ("a.txt", _CSV.replace(",", "\t").encode(), "ending in '.txt'"),
    "no ending": ("data", _CSV.encode(), "ending in ''"),
}


@pytest.mark.parametrize("case", OF_ANOTHER_KIND)
def test_other_kinds_are_told_and_the_command_mends_them(tmp_path: Path, case: str) -> None:
    name, content, told = OF_ANOTHER_KIND[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        read_table(tmp_path / name)
    table = read_table(run_command_in(caught.value))
    assert table["text"] == ["café one", "two"]


_SCRIPTS = {
    "Cyrillic": "Почему курица перешла дорогу",
    "Greek": "Γιατί η κότα πέρασε τον δρόμο",
    "Arabic": "لماذا عبرت الدجاجة الطريق",
    "Chinese": "鸡为什么要过马路",
    "emojis": "😂🤣🐔",
    "Latin": "Why did the chicken cross the road",
}


@pytest.mark.parametrize(
    "encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32", "utf-32-le BOM"]
)
@pytest.mark.parametrize("script", _SCRIPTS)
def test_wide_encodings_are_told_for_every_script(tmp_path: Path, script: str, encoding: str) -> None:
    texts = [f"{_SCRIPTS[script]} {n}" for n in range(300)]
    name, _, mark = encoding.partition(" ")
    for ending, content in {
        ".csv": "text,label\n" + "".join(f"{text},{n % 2}\n" for n, text in enumerate(texts)),
        ".json": json.dumps([{"text": text} for text in texts], ensure_ascii=False),
    }.items():
        path = tmp_path / f"in{ending}"
        path.write_bytes((("\ufeff" if mark else "") + content).encode(name))
        with pytest.raises(UserError, match=f"a file in {name[:6].upper()}"):
            list(read_chunks(path, 5))
        with pytest.raises(UserError, match=f"a file in {name[:6].upper()}") as caught:
            read_table(path)
        assert read_table(run_command_in(caught.value))["text"] == texts


@pytest.mark.parametrize("place", [0, 1, 11, 500, 3999, 6000, 6001])
@pytest.mark.parametrize("script", _SCRIPTS)
def test_a_nul_byte_is_no_other_encoding(tmp_path: Path, script: str, place: int) -> None:
    path = tmp_path / "in.csv"
    rows = "".join(f"{_SCRIPTS[script]} {n},{n % 2}\n" for n in range(400)).encode()
    row = rows[:place].count(b"\n")
    place = rows.rfind(b" ", 0, rows.index(b"\n", place))
    path.write_bytes(b"text,label\n" + rows[:place] + b"\0" + rows[place:])
    with pytest.raises(UserError, match=f"line {row + 2}: found a NUL byte") as caught:
        read_table(path)
    assert len(read_table(run_command_in(caught.value))["text"]) == 400
    chunks = list(read_chunks(path, 1000))
    assert [(one.line, one.reason) for chunk in chunks for one in chunk.rejected] == [(row + 2, "a NUL byte")]
    assert sum(len(chunk.rows) for chunk in chunks) == 399


@pytest.mark.parametrize("case", OF_ANOTHER_KIND)
def test_the_command_writes_over_no_file(tmp_path: Path, case: str) -> None:
    name, content, told = OF_ANOTHER_KIND[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        read_table(path)
    first = run_command_in(caught.value)
    first.write_text("mine")
    with pytest.raises(UserError, match=told) as caught:
        read_table(path)
    second = run_command_in(caught.value)
    assert first.read_text() == "mine"
    assert read_table(second)["text"] == ["café one", "two"]


def test_kinds_that_another_program_must_open(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sheet.csv", "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    with zipfile.ZipFile(tmp_path / "archive.csv", "w") as archive:
        archive.writestr("rows.csv", _CSV)
    contents = {"old.csv": b"\xd0\xcf\x11\xe0....", "page.csv": b"<!DOCTYPE html>", "rows.csv.gz": gzip.compress(b"x")}
    contents |= {"pointer.csv": b"version https://git-lfs.github.com/spec/v1\n", "a.pkl": b"\x80\x04\x95\x00\x00"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    told = {
        "sheet.csv": "an Excel file.*save it as CSV",
        "archive.csv": f"a ZIP file.*unzip {tmp_path}/archive.csv",
        "old.csv": "an old Excel file",
        "page.csv": "a web page.*download the file again",
        "rows.csv.gz": f"gunzip -k {tmp_path}/rows.csv.gz",
        "pointer.csv": "git lfs pull",
        "a.pkl": "write it again as CSV",
        ".": "a folder.*name one of its files: archive.csv, old.csv",
    }
    for name, part in told.items():
        with pytest.raises(UserError, match=part):
            read_table(tmp_path / name)
        with pytest.raises(UserError, match=rf"input=.*{part}"):
            list(read_chunks(tmp_path / name, 5))
