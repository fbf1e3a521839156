"""Files larger than memory, read some thousand rows at a time; an unreadable row is set apart, never lost."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lit_humor.core.errors import UserError
from lit_humor.data.tables import check_header, refuse_utf16

UNDECODABLE = "bytes that are not UTF-8"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


class Rejected(NamedTuple):
    """A row that cannot be used: its line (row in Parquet), why, and what it holds."""

    line: int
    reason: str
    content: str


@dataclass
class Chunk:
    """Some rows of a file.

    Attributes:
        rows: Each a value by column.
        lines: Where each row starts, from 1.
        rejected: Rows among them that could not be read.
        share: How much of the file has been read, 0 to 1.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    share: float = 0.0

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejected)


def read_chunks(path: Path, size: int) -> Iterator[Chunk]:
    """Read a file ``size`` rows at a time, always cut at the same rows; an unreadable row is set apart, never lost.

    Args:
        path: CSV, TSV, JSONL, Parquet, or plain text with a row a line (column ``text``).
        size: Rows of a chunk, those set apart included.

    Raises:
        UserError: There is no such file, it is in UTF-16, or its ending is another.
    """
    if not path.is_file():
        raise UserError(f"input={path}", found="no such file", expected="a file", fix="check the path")
    ending = path.suffix.lower()
    reader = _READERS.get(ending)
    if reader is None:
        known = ", ".join(_READERS)
        raise UserError(f"input={path}", found=f"the ending '{ending}'", expected=f"one of {known}", fix="convert it")
    if ending == ".parquet":
        yield from _read_parquet(path, size)
        return
    with path.open("rb") as raw:
        refuse_utf16(path, raw.read(2))
    with path.open("rb") as raw, open(raw.fileno(), encoding="utf-8-sig", errors="surrogateescape", newline="",
                                      closefd=False) as file:  # fmt: skip
        total = max(path.stat().st_size, 1)
        chunk = Chunk()
        for line, row in reader(file, ending):
            if not isinstance(row, Rejected) and any(map(is_undecodable, row.values())):
                row = Rejected(line, UNDECODABLE, json.dumps(row))
            if isinstance(row, Rejected):
                chunk.rejected.append(row)
            else:
                chunk.rows.append(row)
                chunk.lines.append(line)
            if len(chunk) == size:
                chunk.share = min(os.lseek(raw.fileno(), 0, os.SEEK_CUR) / total, 1.0)
                yield chunk
                chunk = Chunk()
        if len(chunk):
            chunk.share = 1.0
            yield chunk


def is_undecodable(value: Any) -> bool:
    """Whether a value read with ``surrogateescape`` stands for bytes that are not UTF-8."""
    return isinstance(value, str) and not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value)


_Rows = Iterator[tuple[int, "dict[str, Any] | Rejected"]]


def _read_separated(file: IO[str], ending: str) -> _Rows:
    reader = csv.reader(file, delimiter=_SEPARATORS[ending])
    header = next(reader, [])
    check_header(Path(file.name if isinstance(file.name, str) else "input"), header, _SEPARATORS[ending])
    start = reader.line_num + 1
    for row in reader:
        if len(row) == len(header):
            yield start, dict(zip(header, row, strict=True))
        elif row:
            reason = f"{len(row)} fields, expected {len(header)}"
            yield start, Rejected(start, reason, json.dumps(row))
        start = reader.line_num + 1


def _read_json_lines(file: IO[str], ending: str) -> _Rows:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else Rejected(number, "no JSON object", line.rstrip("\r\n"))


def _read_lines(file: IO[str], ending: str) -> _Rows:
    for number, line in enumerate(file, start=1):
        yield number, {"text": line.rstrip("\r\n")}


_READERS: dict[str, Callable[[IO[str], str], _Rows]] = {
    ".csv": _read_separated,
    ".tsv": _read_separated,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".txt": _read_lines,
    ".parquet": _read_lines,  # read by batches of columns instead
}


def _read_parquet(path: Path, size: int) -> Iterator[Chunk]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"input={path}", found=str(error), expected="a Parquet file", fix="write it again") from None
    start = 1
    for batch in file.iter_batches(batch_size=size):
        rows = batch.to_pylist()
        done = start + len(rows) - 1
        yield Chunk(rows, list(range(start, done + 1)), share=done / max(file.metadata.num_rows, 1))
        start = done + 1
