"""Files larger than memory: every row comes out or is named."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.reading.streams import Rejected, read_chunks
from lit_humor.data.reading.tables import read_table
from lit_humor.inference.parts import Parts

FAULTY = b'id,text\n1,one\n2,two,too many\n\n3,"two\nlines"\n4,caf\xe9\n5,"a ""quoted"" word, and a comma"\n'


def test_a_faulty_csv_gives_every_row_or_names_it(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(FAULTY)
    (chunk,) = read_chunks(tmp_path / "in.csv", 100)
    assert [row["text"] for row in chunk.rows] == ["one", "two\nlines", 'a "quoted" word, and a comma']
    assert chunk.lines == [2, 5, 8]
    assert [(one.line, one.reason.split(",")[0]) for one in chunk.rejected] == [
        (3, "3 fields"),
        (7, "bytes that are not UTF-8"),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_chunks_hold_every_row_once(tmp_path: Path, size: int) -> None:
    (tmp_path / "in.csv").write_bytes(FAULTY)
    chunks = list(read_chunks(tmp_path / "in.csv", size))
    assert [len(chunk) for chunk in chunks] == {1: [1] * 5, 2: [2, 2, 1], 3: [3, 2], 100: [5]}[size]
    assert chunks[-1].share == 1.0
    assert [row["id"] for chunk in chunks for row in chunk.rows] == ["1", "3", "5"]


def test_other_formats(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a", "n": 1}\nbroken\n\n[1]\n{"text": "b"}\n')
    (chunk,) = read_chunks(tmp_path / "in.jsonl", 9)
    assert chunk.rows == [{"text": "a", "n": 1}, {"text": "b"}]
    assert [one.line for one in chunk.rejected] == [2, 4]
    (tmp_path / "in.txt").write_text("one\n\nthree", encoding="utf-8-sig")
    (chunk,) = read_chunks(tmp_path / "in.txt", 9)
    assert [row["text"] for row in chunk.rows] == ["one", "", "three"]
    pq.write_table(pa.table({"text": ["a", "b", "c"], "n": [1, 2, None]}), tmp_path / "in.parquet")
    chunks = list(read_chunks(tmp_path / "in.parquet", 2))
    assert [row for chunk in chunks for row in chunk.rows][2] == {"text": "c", "n": None}
    assert [chunk.lines for chunk in chunks] == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [("no.csv", None, "no such file"), ("a.xls", "x", "'.xls'"), ("a.csv", "id,id\n1,2\n", "twice")],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str | None, part: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=part):
        list(read_chunks(tmp_path / name, 9))


PARTS = (
    [{"id": "1", "n": 1, "text": "eins, zwei"}, {"id": "2", "n": 2, "text": "x\ny"}],
    [{"id": "3", "n": 2.5, "text": None, "more": [1]}],
    [{"id": 4, "n": "four", "text": "z"}],
)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_parts_of_other_types_are_joined(tmp_path: Path, ending: str) -> None:
    parts = Parts(tmp_path / f"out{ending}", {"from": "here"})
    for index, rows in enumerate(PARTS):
        parts.add(index, rows, [Rejected(index, "=no", "é")] if index else [])
    assert parts.join(3) == (4, 2)
    table = read_table(tmp_path / f"out{ending}")
    assert [str(value) for value in table["id"]] == ["1", "2", "3", "4"]
    assert [value or None for value in table["text"]] == ["eins, zwei", "x\ny", None, "z"]
    assert [str(value) for value in table["n"]] == ["1", "2", "2.5", "four"]
    with parts.rejected_path.open(newline="") as file:
        assert list(csv.reader(file)) == [["line", "reason", "content"], ["1", "'=no", "é"], ["2", "'=no", "é"]]
    assert {path.name for path in tmp_path.iterdir()} == {f"out{ending}", "out.rejected.csv"}


def test_parts_are_found_again_and_those_of_other_input_refused(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    Parts(target, {"from": "here"}).add(0, PARTS[0], [])
    again = Parts(target, {"from": "here"})
    assert again.is_done(0)
    assert not again.is_done(1)
    with pytest.raises(UserError, match="the same command as before"):
        Parts(target, {"from": "elsewhere"})
    assert again.join(1) == (2, 0)
    assert not again.rejected_path.exists()
    with pytest.raises(UserError, match="a file there already"):
        Parts(target, {"from": "here"})
    with pytest.raises(UserError, match=r"'\.xls'"):
        Parts(tmp_path / "out.xls", {})
    assert json.loads(json.dumps(Rejected(1, "a", "b"))) == [1, "a", "b"]


HOLDS = """
import sys
from pathlib import Path
from lit_humor.inference.parts import Parts
parts = Parts(Path(sys.argv[1]), {})
print("held", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time_makes_a_file_and_nobody_writes_over_it(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    command = [sys.executable, "-c", HOLDS, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process that makes this file"):
            Parts(target, {})
        other.kill()  # the system lets go for it
    parts = Parts(target, {})
    parts.add(0, PARTS[0], [])
    target.write_text("somebody else's")
    with pytest.raises(UserError, match="a file there already"):
        parts.join(1)
    assert target.read_text() == "somebody else's"
    assert len(parts) == 1
