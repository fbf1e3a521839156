"""Reads a table from CSV, TSV, JSON, JSONL or Parquet; errors name the place where the file is broken.

Every reader returns ``{column: list of values}`` with the columns of the file and ``LINE``, the number of the line
(text formats) or row (JSON, Parquet) that each row came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_humor.core.errors import UserError, list_names, shorten
from lit_humor.data.reading.counts import FileCounts
from lit_humor.data.reading.headers import open_checked
from lit_humor.data.reading.json_rows import (
    NumberedRecords,
    Record,
    Unusable,
    is_document,
    json_lines,
    json_rows,
    row_error,
)
from lit_humor.data.reading.kinds import ENDINGS, check_kind, decode
from lit_humor.data.reading.places import RowNumber
from lit_humor.data.reading.quotes import checked_rows
from lit_humor.data.reading.separated import EXPECTED, SEPARATOR_NAMES, Quoting, Row, Separated, lines_of

Table = dict[str, list[Any]]

LINE = "__line__"
_QUOTING = "data.quoting"
FILE = "__file__"  # file of each row; only in a table that was joined from several files


def read_table(path: str | Path, quoting: Quoting = "auto", key: str = _QUOTING) -> Table:
    """Read one file without its counts; see ``read_file``."""
    return read_file(path, quoting, key)[0]


def read_file(path: str | Path, quoting: Quoting = "auto", key: str = _QUOTING) -> tuple[Table, FileCounts]:
    """Read one file; its ending determines the format.

    Args:
        path: A ``.csv``, ``.tsv``, ``.json``, ``.jsonl``/``.ndjson`` or ``.parquet`` file; text is UTF-8, with or
            without BOM.
        quoting: What quotes in CSV and TSV mean; see ``sources.files.TextFiles``.
        key: The setting of ``quoting``, for messages.

    Returns:
        The columns of the file and ``LINE`` (from 1), and the counts.

    Raises:
        UserError: The file is missing, empty, of another type, not UTF-8, ragged, has two columns of the same name, or
            its quotes may have swallowed rows; the message names file and line.
    """
    path = Path(path)
    check_kind(path, ENDINGS)
    ending = path.suffix.lower()
    if ending == ".parquet":
        table = _read_parquet(path)
        counts = FileCounts(str(path), len(table[LINE]), len(table[LINE]))
    elif ending in EXPECTED:
        table, counts = _read_separated(path, quoting, key)
    else:
        text = decode(path, path.read_bytes())
        is_one_document = ending == ".json" or is_document(text)
        table = _from_records(path, json_rows(path, text) if is_one_document else json_lines(text.split("\n")))
        counts = FileCounts(str(path), len(table[LINE]), len(table[LINE]))
    if not table[LINE]:
        raise UserError(str(path), found="no rows", expected="a header and rows", fix="put rows into the file")
    return table, counts


def safe_cell(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; return other values as they are.

    A leading dash without an operator or call, as in a dialogue, is harmless and stays.
    Source: OWASP, CSV Injection.
    """
    is_formula = isinstance(value, str) and (
        value[:1] in ("=", "@", "\t", "\r") or (value[:1] in ("+", "-") and any(sign in value for sign in "(|!"))
    )
    return f"'{value}" if is_formula else value


def _read_separated(path: Path, quoting: Quoting, key: str) -> tuple[Table, FileCounts]:
    text = decode(path, path.read_bytes())
    file = open_checked(path, lines_of(text), quoting, key)
    rows, lines, errors = list[list[str]](), list[int](), list[UserError]()
    counts = FileCounts(str(path), note=file.note)
    for row in checked_rows(file, key) if '"' in text else file.rows():
        if not errors and (row.fault or len(row.fields) != len(file.header)):
            errors.append(_row_error(file, row, key))  # raised after the last row: quotes may be the cause
        rows.append(row.fields)
        lines.append(row.first)
        counts.add(row)
    if errors:
        raise errors[0]
    return {name: [row[index] for row in rows] for index, name in enumerate(file.header)} | {LINE: lines}, counts


def _row_error(file: Separated, row: Row, key: str) -> UserError:
    """The error for a row with broken quotes or a wrong number of fields."""
    place = f"{file.path}, line {row.first}"
    if row.fault:
        fix = f"close the quote, or double it inside of a text; {key}=none takes quotes as plain characters"
        return UserError(place, found=row.fault, expected='fields quoted with " and quotes inside doubled', fix=fix)
    return UserError(
        place,
        found=f"{len(row.fields)} fields",
        expected=f"{len(file.header)} as in the header ({list_names(file.header)})",
        fix=_ragged_fix(row.lines[0], file.separator, len(row.fields) - len(file.header)),
    )


def _ragged_fix(line: str, separator: str, surplus: int) -> str:
    other = next((sign for sign in SEPARATOR_NAMES if sign in line and sign != separator), None)
    if surplus < 0 and separator not in line and other:
        return f"separate its fields by {SEPARATOR_NAMES[separator]}, not by {SEPARATOR_NAMES[other]}"
    if surplus > 0:
        return f"put quotes round the text that holds {SEPARATOR_NAMES[separator]}"
    return "add what is missing, or put quotes round a text that holds a line break"


def _from_records(path: Path, numbered_records: NumberedRecords) -> Table:
    records, lines = list[Record](), list[int]()
    for number, record in numbered_records:
        if isinstance(record, Unusable):
            raise row_error(path, number, record)
        records.append(record)
        lines.append(number)
    names = list(dict.fromkeys(name for record in records for name in record))
    return {name: [record.get(name) for record in records] for name in names} | {LINE: lines}


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa  # a quarter of a second: for those who read one
    import pyarrow.parquet as pq

    try:
        check_columns(path, pq.read_schema(path).names)
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(
            str(path), found=shorten(str(error)), expected="a Parquet file", fix="write the file again"
        ) from None
    return table.to_pydict() | {LINE: list(map(RowNumber, range(1, table.num_rows + 1)))}


def check_columns(path: Path, names: Sequence[str]) -> None:
    """Raise an error if a Parquet file has two columns of the same name."""
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        found, fix = f"column {shorten(doubled, 40)} twice", "rename or drop one of them"
        raise UserError(str(path), found=found, expected="each column once", fix=fix)
