"""Reads files larger than memory in chunks of rows; an unreadable row is reported as rejected, never lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lit_humor.core.errors import UserError
from lit_humor.data.reading.counts import FileCounts
from lit_humor.data.reading.headers import open_checked
from lit_humor.data.reading.json_rows import NumberedRecords, Record, Unusable, is_document, json_lines, json_rows
from lit_humor.data.reading.kinds import ENDINGS, check_kind, decode
from lit_humor.data.reading.places import RowNumber
from lit_humor.data.reading.quotes import checked_rows
from lit_humor.data.reading.separated import EXPECTED, Quoting
from lit_humor.data.reading.tables import check_columns

UNDECODABLE = "bytes that are not UTF-8"
NUL = "a NUL byte"
_FIRST_CHARACTERS = 4096


class Rejected(NamedTuple):
    """A row that cannot be used: its line number (row number in JSON and Parquet), the reason, and its content."""

    line: int
    reason: str
    content: str


@dataclass
class Chunk:
    """Consecutive rows of a file.

    Attributes:
        rows: One dict per row, ``{column: value}``.
        lines: Line number at which each row starts, from 1.
        rejected: Rows of this chunk that could not be read.
        share: Share of the file that has been read, 0 to 1.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    share: float = 0.0

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejected)


_NumberedRows = Iterator[tuple[int, "Record | Rejected"]]


def check_input(path: Path, quoting: Quoting) -> str:
    """Check a file before its rows are used: file type, header and quotes.

    Args:
        path: As for ``read_chunks``.
        quoting: What quotes in CSV and TSV mean; see ``sources.files.TextFiles``.

    Returns:
        A note on how the file is read, with the rows that have several lines; usually empty.

    Raises:
        UserError: The file cannot be read, or quotes in it may have swallowed rows; names the lines.
    """
    check_kind(path, (*ENDINGS, ".txt"), "input")
    if path.suffix.lower() in EXPECTED:
        file = open_checked(path, lambda: _lines_of_file(path), quoting, "quoting")
        if quoting == "none":  # each line is a row
            return file.note
        counts = FileCounts(str(path), note=file.note)
        for row in checked_rows(file, "quoting"):
            counts.add(row)
        return counts.summary()
    return ""


def read_chunks(path: Path, size: int, quoting: Quoting = "auto") -> Iterator[Chunk]:
    """Read a file in chunks of ``size`` rows, with the same chunk boundaries every time; no row is lost.

    Args:
        path: CSV, TSV, JSONL, Parquet, plain text with one row per line (column ``text``), or JSON (read as a whole).
        size: Rows per chunk, rejected rows included.
        quoting: What quotes mean; with ``auto``, ``check_input`` reads a CSV or TSV file first.

    Yields:
        Chunks; an unreadable row is in ``rejected``.

    Raises:
        UserError: The file is missing, has another type or encoding, or quotes may have swallowed rows.
    """
    check_kind(path, (*ENDINGS, ".txt"), "input")
    ending = path.suffix.lower()
    if ending == ".parquet":
        yield from _read_parquet(path, size)
    elif ending == ".json" or (ending in (".jsonl", ".ndjson") and _is_json_list(path)):
        rows = list(_as_rows(json_rows(path, decode(path, path.read_bytes()))))
        yield from _chunks(iter(rows), size, lambda num_read: num_read / len(rows))
    else:
        if quoting == "auto" and ending in EXPECTED:
            check_input(path, quoting)
        with path.open("rb") as raw, _open_text(raw) as file:
            total = max(path.stat().st_size, 1)
            row_iterator = _READERS.get(ending, _read_json_lines)(
                file, path, "standard" if quoting == "auto" else quoting
            )
            yield from _chunks(row_iterator, size, lambda _: min(os.lseek(raw.fileno(), 0, os.SEEK_CUR) / total, 1.0))


def _chunks(rows: _NumberedRows, size: int, share: Callable[[int], float]) -> Iterator[Chunk]:
    """Group numbered rows into chunks; ``share`` maps the number of rows so far to the share of the file."""
    chunk, num_rows = Chunk(), 0
    for line, row in rows:
        if not isinstance(row, Rejected) and any(map(is_undecodable, row.values())):
            row = Rejected(line, UNDECODABLE, json.dumps(row))
        if isinstance(row, Rejected):
            chunk.rejected.append(row)
        else:
            chunk.rows.append(row)
            chunk.lines.append(line)
        if len(chunk) == size:
            num_rows += size
            chunk.share = share(num_rows)
            yield chunk
            chunk = Chunk()
    if len(chunk):
        chunk.share = 1.0
        yield chunk


def is_undecodable(value: Any) -> bool:
    """Whether a value that was read with ``surrogateescape`` contains bytes that are not UTF-8."""
    return (
        isinstance(value, str) and not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
    )


def _open_text(raw: IO[bytes]) -> IO[str]:
    return open(raw.fileno(), encoding="utf-8-sig", errors="surrogateescape", newline="", closefd=False)


def _lines_of_file(path: Path) -> Iterator[str]:
    with path.open("rb") as raw, _open_text(raw) as file:
        yield from file


def _is_json_list(path: Path) -> bool:
    with path.open("rb") as raw, _open_text(raw) as file:
        return is_document(file.read(_FIRST_CHARACTERS))


def _read_separated(file: IO[str], path: Path, quoting: Quoting) -> _NumberedRows:
    def from_start() -> IO[str]:
        file.seek(0)
        return file

    opened = open_checked(path, from_start, quoting, "quoting")
    for row in opened.rows():
        if row.fault:
            yield row.first, Rejected(row.first, row.fault, row.fields[0])
        elif any("\0" in line for line in row.lines):
            yield row.first, Rejected(row.first, NUL, json.dumps(row.fields))
        elif len(row.fields) == len(opened.header):
            yield row.first, dict(zip(opened.header, row.fields, strict=True))
        else:
            reason = f"{len(row.fields)} fields, expected {len(opened.header)}"
            yield row.first, Rejected(row.first, reason, json.dumps(row.fields))


def _read_json_lines(file: IO[str], path: Path, quoting: Quoting) -> _NumberedRows:
    return _as_rows(json_lines(file))


def _as_rows(records: NumberedRecords) -> _NumberedRows:
    for number, row in records:
        yield number, Rejected(number, row.reason, row.content) if isinstance(row, Unusable) else row


def _read_lines(file: IO[str], path: Path, quoting: Quoting) -> _NumberedRows:
    for number, line in enumerate(file, start=1):
        text = line.rstrip("\r\n")
        yield number, Rejected(number, NUL, json.dumps(text)) if "\0" in text else {"text": text}


_READERS: dict[str, Callable[[IO[str], Path, Quoting], _NumberedRows]] = {
    ".csv": _read_separated,
    ".tsv": _read_separated,
    ".txt": _read_lines,
}


def _read_parquet(path: Path, size: int) -> Iterator[Chunk]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"input={path}", found=str(error), expected="a Parquet file", fix="write it again") from None
    check_columns(path, file.schema_arrow.names)
    start = 1
    for batch in file.iter_batches(batch_size=size):
        rows = batch.to_pylist()
        last = start + len(rows) - 1
        yield Chunk(rows, list(map(RowNumber, range(start, last + 1))), share=last / max(file.metadata.num_rows, 1))
        start = last + 1
