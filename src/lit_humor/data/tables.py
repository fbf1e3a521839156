"""Read a table from CSV, TSV, JSONL or Parquet, and say exactly where it is broken.

Every reader returns the same thing: the columns as found in the file, a list of values each, and one more,
``LINE``, the line (text formats) or row (Parquet) that each row came from.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lit_humor.core.errors import UserError, shorten

Table = dict[str, list[Any]]

LINE = "__line__"
FILE = "__file__"  # of each row; only in a table that was put together from several files

csv.field_size_limit(sys.maxsize)  # the standard limit of 128 KiB refuses long texts


def read_table(path: str | Path) -> Table:
    """Read one file by its ending.

    Args:
        path: A ``.csv``, ``.tsv``, ``.jsonl``/``.ndjson`` or ``.parquet`` file; text is UTF-8, with or without BOM.

    Returns:
        The columns of the file and ``LINE`` (from 1).

    Raises:
        UserError: The file is missing, empty, of another kind, not UTF-8, ragged or has a column twice;
            the message names file and line.
    """
    path = Path(path)
    table = find_reader(path)(path)
    if not table[LINE]:
        raise UserError(str(path), found="no rows", expected="a header and rows", fix="fill the file")
    return table


def find_reader(path: Path) -> Callable[[Path], Table]:
    """What reads a file of this ending; says at once, without reading, that there is no such file or reader."""
    if not path.is_file():
        raise UserError(str(path), found="no such file", expected="a data file", fix="check the path")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            str(path),
            found=f"a file ending in '{path.suffix}'",
            expected=f"one of {', '.join(READERS)}",
            fix="convert the file, or rename it if only its ending is wrong",
        )
    return reader


def safe_cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, with an apostrophe in front; anything else as it is.

    A leading dash alone, as in a dialogue, calls nothing and stays.
    Source: OWASP, CSV Injection.
    """
    is_formula = isinstance(value, str) and (
        value[:1] in ("=", "@", "\t", "\r") or (value[:1] in ("+", "-") and any(sign in value for sign in "(|!"))
    )
    return f"'{value}" if is_formula else value


def refuse_utf16(path: Path, first: bytes) -> None:
    """Raise where the first two bytes of a file are the mark of UTF-16."""
    if first in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise UserError(
            f"{path}, line 1",
            found="a file in UTF-16",
            expected="a file encoded in UTF-8",
            fix=f"iconv -f utf-16 -t utf-8 {path.name} > {path.stem}.utf8{path.suffix}",
        )


def _read_text(path: Path) -> str:
    raw = path.read_bytes()
    refuse_utf16(path, raw[:2])
    if (place := raw.find(b"\0")) >= 0:
        line = raw.count(b"\n", 0, place) + 1
        fix = f"iconv -f utf-16le if every second byte is one, else tr -d '\\000' < {path.name} > clean{path.suffix}"
        raise UserError(f"{path}, line {line}", found="a NUL byte", expected="text", fix=fix)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}",
            found=f"byte 0x{raw[error.start]:02x}, which is not UTF-8",
            expected="a file encoded in UTF-8",
            fix=f"iconv -f latin1 -t utf-8 {path.name} > {path.stem}.utf8{path.suffix} (or your encoding)",
        ) from None


def _read_separated(path: Path, separator: str) -> Table:
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        header = next(reader, [])
        check_header(path, header, separator)
        start = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(header):
                raise UserError(
                    f"{path}, line {start}",
                    found=f"{len(row)} fields",
                    expected=f"{len(header)} as in the header ({', '.join(header)})",
                    fix="put quotes round fields that hold the separator or a line break",
                )
            if row:
                rows.append(row)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}",
            found=f"broken quoting ({error})",
            expected='fields quoted with " and quotes inside them doubled',
            fix="close or double the quote",
        ) from None
    return {name: [row[i] for row in rows] for i, name in enumerate(header)} | {LINE: lines}


def check_header(path: Path, header: list[str], separator: str) -> None:
    """Refuse a header that is empty, names a column twice, or was separated by something else."""
    if not header:
        raise UserError(str(path), found="an empty file", expected="a header and rows", fix="fill the file")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(
            f"{path}, line 1",
            found=f"column '{twice[0]}' twice",
            expected="each column once",
            fix="rename or drop one of them",
        )
    other = next((sign for sign in (";", "\t", "|", ",") if sign in header[0] and sign != separator), None)
    if len(header) == 1 and other:
        raise UserError(
            f"{path}, line 1",
            found=f"fields separated by {other!r}",
            expected=f"fields separated by {separator!r}",
            fix="save the file with that separator",
        )


def _read_json_lines(path: Path) -> Table:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            record = error
        if not isinstance(record, dict):
            raise UserError(
                f"{path}, line {number}",
                found=shorten(line),
                expected="one JSON object on each line",
                fix="write each row as {...} on a line of its own",
            )
        records.append(record)
        lines.append(number)
    names = list(dict.fromkeys(name for record in records for name in record))
    return {name: [record.get(name) for record in records] for name in names} | {LINE: lines}


def _read_parquet(path: Path) -> Table:
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(
            str(path), found=shorten(str(error)), expected="a Parquet file", fix="write the file again"
        ) from None
    return table.to_pydict() | {LINE: list(range(1, table.num_rows + 1))}


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": lambda path: _read_separated(path, ","),
    ".tsv": lambda path: _read_separated(path, "\t"),
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
