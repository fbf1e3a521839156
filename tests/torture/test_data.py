"""Files as people have them: each trains, or ends in one sentence that names file and line."""

# ruff: noqa: E501
import csv
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.torture.running import ROUNDS, train

WORKS = None
ROWS = [(f"joke {i} walks into a bar" if i % 2 else f"the train left at {i} sharp", i % 2) for i in range(60)]


def _csv(rows: list[tuple], header: tuple[str, ...] = ("text", "is_humor"), separator: str = ",") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def _with(*rows: tuple) -> bytes:
    """Good rows with others from line 62 on."""
    return _csv([*ROWS, *rows])


def _jsonl(rows: list[dict]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def _parquet(**columns: list) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


_GOOD = _csv(ROWS)
_TEXTS, _LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
_NOISE = random.Random(0).randbytes(5000)

# name: content, ending, parts of the message (WORKS: it trains)
CASES = {
    "plain": (_GOOD, ".csv", WORKS),
    "bom": (b"\xef\xbb\xbf" + _GOOD, ".csv", WORKS),
    "crlf": (_GOOD.replace(b"\n", b"\r\n"), ".csv", WORKS),
    "latin-1": (_with(("caf\xe9", 1)).decode().encode("latin-1"), ".csv", ["line 62", "not UTF-8", "iconv"]),
    "utf-16": (_GOOD.decode().encode("utf-16"), ".csv", ["UTF-16", "iconv -f utf-16"]),
    "utf-16 without bom": (_GOOD.decode().encode("utf-16-le"), ".csv", ["line 1", "NUL"]),
    "nul bytes": (_with(("a\x00b", 1)), ".csv", ["line 62", "NUL"]),
    "too many fields": (_GOOD + b"one,two,1\n", ".csv", ["line 62", "3 fields"]),
    "too few fields": (_GOOD + b"alone\n", ".csv", ["line 62", "1 fields"]),
    "semicolons": (_csv(ROWS, separator=";"), ".csv", WORKS),
    "tabs in csv": (_csv(ROWS, separator="\t"), ".csv", WORKS),
    "commas in tsv": (_csv(ROWS), ".tsv", WORKS),
    "tsv": (_csv(ROWS, separator="\t"), ".tsv", WORKS),
    "na as text": (_with(("NA", 1), ("null", 0), ("nan", 1), ("None", 0)), ".csv", WORKS),
    "duplicate header": (_csv([(t, n, t) for t, n in ROWS], ("text", "is_humor", "text")), ".csv", ["line 1", "twice"]),
    "no header": (_csv(ROWS[1:], ROWS[0]), ".csv", ["column", "text"]),
    "header only": (_csv([]), ".csv", ["no rows"]),
    "empty": (b"", ".csv", ["empty"]),
    "one class": (_csv([(text, 1) for text in _TEXTS]), ".csv", ["no row of class 'not humor'"]),
    "one row": (_csv(ROWS[:1]), ".csv", ["rows"]),
    "ten megabytes in a row": (_with(("ha " * 3_500_000, 1)), ".csv", WORKS),
    "zero width": (_with(("ha\u200bha", 1), ("\u200b", 0)), ".csv", WORKS),
    "right to left": (_with(("\u202eشو هالنكتة", 1), ("שלום", 0)), ".csv", WORKS),
    "emoji only": (_with(("😂🤣", 1), ("👍", 0)), ".csv", WORKS),
    "blank text": (_with(("   ", 1)), ".csv", ["line 62", "blank"]),
    "empty text": (_with(("", 1)), ".csv", ["line 62"]),
    "line break in text": (_with(("one\ntwo", 1), ("three", 0)), ".csv", WORKS),
    "open quote": (_GOOD + b'"never closed,1\n', ".csv", ["line", "quot"]),
    "quote inside": (_GOOD + b'"he said "ha" and left",1\n', ".csv", WORKS),
    "swallowed rows": (_GOOD + b'"well,1\nthe bus,0\nthe hat",1\n', ".csv", ["line 62 to 64", "data.quoting=none"]),
    "unknown label": (_with(("what", "maybe")), ".csv", ["line 62", "is_humor", "maybe"]),
    "missing label": (_with(("what", "")), ".csv", ["line 62", "no label"]),
    "labels as floats": (_csv([(text, float(label)) for text, label in ROWS]), ".csv", WORKS),
    "labels as 0.5": (_with(("what", 0.5)), ".csv", ["line 62", "0.5"]),
    "labels as words": (_csv([(t, "TRUE" if n else "False") for t, n in ROWS]), ".csv", WORKS),
    "mixed labels": (
        _csv([(t, ("0", "1.0", "false", "true")[n + 2 * (i % 2)]) for i, (t, n) in enumerate(ROWS)]),
        ".csv",
        WORKS,
    ),
    "formula": (_with(('=cmd|"/C calc"!A0', 1), ("<script>alert(1)</script>", 0)), ".csv", WORKS),
    "json lines": (_jsonl([{"text": t, "is_humor": n} for t, n in ROWS]), ".jsonl", WORKS),
    "a list in json": (
        _GOOD and _jsonl([{"text": t, "is_humor": n} for t, n in ROWS]) + b"\n[1, 2]",
        ".jsonl",
        ["line 61", "JSON object"],
    ),
    "broken json": (_jsonl([{"text": t, "is_humor": n} for t, n in ROWS]) + b'\n{"text": ', ".jsonl", ["line 61"]),
    "json with missing keys": (
        _jsonl([{"text": t, "is_humor": n} for t, n in ROWS] + [{"text": "alone"}]),
        ".jsonl",
        ["line 61", "no label"],
    ),
    "numbers as text in json": (
        _jsonl([{"text": t, "is_humor": n} for t, n in ROWS] + [{"text": 7, "is_humor": 1}]),
        ".jsonl",
        ["line 61", "7"],
    ),
    "surrogate in json": (
        _jsonl([{"text": t, "is_humor": n} for t, n in ROWS]) + b'\n{"text": "\\ud83d", "is_humor": 1}',
        ".jsonl",
        ["line 61"],
    ),
    "json constants": (
        _jsonl([{"text": t, "is_humor": n} for t, n in ROWS]) + b'\n{"text": "x", "is_humor": NaN}',
        ".jsonl",
        ["line 61"],
    ),
    "deep json": (
        _jsonl([{"text": t, "is_humor": n} for t, n in ROWS]) + b"\n" + b"[" * 100_000,
        ".jsonl",
        ["line 61"],
    ),
    "json": (json.dumps([{"text": t, "is_humor": n} for t, n in ROWS]).encode(), ".json", WORKS),
    "parquet": (_parquet(text=_TEXTS, is_humor=_LABELS), ".parquet", WORKS),
    "parquet of bytes": (_parquet(text=[text.encode() for text in _TEXTS], is_humor=_LABELS), ".parquet", ["row 1"]),
    "parquet with null": (_parquet(text=[*_TEXTS[:-1], None], is_humor=_LABELS), ".parquet", ["row 60"]),
    "no parquet": (_NOISE, ".parquet", ["Parquet"]),
    "cut parquet": (_parquet(text=_TEXTS, is_humor=_LABELS)[:-20], ".parquet", ["Parquet"]),
    "noise": (_NOISE, ".csv", ["line"]),
    "excel": (b"PK\x03\x04" + _NOISE, ".xlsx", ["ending", "convert"]),
    "without text column": (_csv(ROWS, ("joke", "is_humor")), ".csv", ["text", "joke"]),
}


def test_there_are_forty_of_them() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("name", CASES if ROUNDS else sorted(CASES)[::3])
def test_it_trains_or_says_why_not(tmp_path: Path, name: str) -> None:
    content, ending, parts = CASES[name]
    path = tmp_path / f"data{ending}"
    path.write_bytes(content)
    ended = train(
        tmp_path, "model=tiny", "data=csv", f"data.train_path={path}", f"paths.logs_dir={tmp_path / 'logs'}",
        "run_id=run", "trainer.max_epochs=1", "baseline=false", "data.val_fraction=0.2", f"paths.cache_dir={tmp_path}/c",
    )  # fmt: skip
    assert "Traceback" not in ended.output, ended.output
    if parts is WORKS:
        assert ended.code == 0, ended.output
        assert "<script>" not in (tmp_path / "logs" / "run" / "report.html").read_text().replace("<script>\n", "")
        return
    assert ended.code == 1, ended.output
    message = ended.output.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    for part in parts:
        assert part in message
    assert not (tmp_path / "logs").exists()


def test_leaks_are_refused_where_asked(tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / f"{name}.csv").write_bytes(_GOOD)
    arguments = [
        *("model=tiny", "data=csv", f"data.train_path={tmp_path}/train.csv", f"data.val_path={tmp_path}/val.csv"),
        *(
            f"paths.logs_dir={tmp_path}/logs",
            "data.test_fraction=0",
            "trainer.max_epochs=1",
            "baseline=false",
            "report=false",
        ),
    ]
    refused = train(tmp_path, *arguments, "data.leaks=error")
    assert refused.code == 1
    assert "data.leaks: found texts that are in two splits: 60 in train and val" in refused.output
    assert train(tmp_path, *arguments).code == 0
