"""Read a table from CSV, TSV, JSON, JSONL or Parquet, and say exactly where it is broken.

Every reader returns the same thing: the columns as found in the file, a list of values each, and one more,
``LINE``, the line (text formats) or row (JSON, Parquet) that each row came from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_humor.core.errors import UserError, shorten
from lit_humor.data.reading.headers import open_checked
from lit_humor.data.reading.json_rows import Record, is_document, json_lines, json_rows
from lit_humor.data.reading.kinds import ENDINGS, check_kind, decode
from lit_humor.data.reading.quotes import checked_rows
from lit_humor.data.reading.separated import EXPECTED, SEPARATOR_NAMES, Quoting, Row, Separated, lines_of

Table = dict[str, list[Any]]

LINE = "__line__"
FILE = "__file__"  # of each row; only in a table that was put together from several files


@dataclass(frozen=True)
class FileCounts:
    """What a file holds, counted while it was read.

    Attributes:
        path: The file.
        rows: Its rows.
        lines: Its lines after the header, blank ones left out; in JSON and Parquet the rows.
        rows_of_several_lines: Rows with line breaks in a field.
        rows_with_stray_quotes: Rows with quotes that close nothing, which were taken as plain characters.
        note: What else a person should know about how it was read.
    """

    path: str
    rows: int
    lines: int
    rows_of_several_lines: int = 0
    rows_with_stray_quotes: int = 0
    note: str = ""

    def describe(self) -> str:
        """One line for a screen, where there is something to say; else nothing."""
        told = [self.note] if self.note else []
        if self.lines != self.rows:
            told.append(f"{self.lines:,} lines after the header, {self.rows:,} rows")
            told.append(f"{self.rows_of_several_lines:,} rows of several lines")
        if self.rows_with_stray_quotes:
            rows = "1 row has" if self.rows_with_stray_quotes == 1 else f"{self.rows_with_stray_quotes:,} rows have"
            told.append(f"{rows} quotes without a partner; they are kept as characters")
        return f"{self.path}: {', '.join(told)}" if told else ""


def read_table(path: str | Path, quoting: Quoting = "auto") -> Table:
    """Read one file by its ending; see ``read_file``."""
    return read_file(path, quoting)[0]


def read_file(path: str | Path, quoting: Quoting = "auto") -> tuple[Table, FileCounts]:
    """Read one file by its ending.

    Args:
        path: A ``.csv``, ``.tsv``, ``.json``, ``.jsonl``/``.ndjson`` or ``.parquet`` file; text is UTF-8, with or
            without BOM.
        quoting: What quotes in CSV and TSV mean; see ``sources.files.TextFiles``.

    Returns:
        The columns of the file and ``LINE`` (from 1); and what was counted.

    Raises:
        UserError: The file is missing, empty, of another kind, not UTF-8, ragged, has a column twice, or quotes in it
            may have swallowed rows; the message names file and line.
    """
    path = Path(path)
    check_kind(path, ENDINGS)
    ending = path.suffix.lower()
    if ending == ".parquet":
        table = _read_parquet(path)
        counts = FileCounts(str(path), len(table[LINE]), len(table[LINE]))
    elif ending in EXPECTED:
        table, counts = _read_separated(path, quoting)
    else:
        text = decode(path, path.read_bytes())
        whole = ending == ".json" or is_document(text)
        table = _from_records(path, json_rows(path, text) if whole else json_lines(text.split("\n")))
        counts = FileCounts(str(path), len(table[LINE]), len(table[LINE]))
    if not table[LINE]:
        raise UserError(str(path), found="no rows", expected="a header and rows", fix="put rows into the file")
    return table, counts


def safe_cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, with an apostrophe in front; anything else as it is.

    A leading dash alone, as in a dialogue, calls nothing and stays.
    Source: OWASP, CSV Injection.
    """
    is_formula = isinstance(value, str) and (
        value[:1] in ("=", "@", "\t", "\r") or (value[:1] in ("+", "-") and any(sign in value for sign in "(|!"))
    )
    return f"'{value}" if is_formula else value


def _read_separated(path: Path, quoting: Quoting) -> tuple[Table, FileCounts]:
    text = decode(path, path.read_bytes())
    file = open_checked(path, lines_of(text), quoting, "data.quoting")
    rows, lines, damage = list[list[str]](), list[int](), list[UserError]()
    num_more_lines, num_long, num_stray = 0, 0, 0
    for row in checked_rows(file, "data.quoting") if '"' in text else file.rows():
        if not damage and (row.fault or len(row.fields) != len(file.header)):
            damage.append(_damaged(file, row))  # told after the last row, as quotes may be the cause
        rows.append(row.fields)
        lines.append(row.first)
        if len(row.lines) > 1:
            num_long += 1
            num_more_lines += sum(1 for line in row.lines if line.strip("\r\n")) - 1
        num_stray += row.as_typed
    if damage:
        raise damage[0]
    counts = FileCounts(str(path), len(rows), len(rows) + num_more_lines, num_long, num_stray, file.note)
    return {name: [row[at] for row in rows] for at, name in enumerate(file.header)} | {LINE: lines}, counts


def _damaged(file: Separated, row: Row) -> UserError:
    where = f"{file.path}, line {row.first}"
    if row.fault:
        fix = "close the quote, or double it inside of a text; data.quoting=none takes quotes as plain characters"
        return UserError(where, found=row.fault, expected='fields quoted with " and quotes inside doubled', fix=fix)
    return UserError(
        where,
        found=f"{len(row.fields)} fields",
        expected=f"{len(file.header)} as in the header ({', '.join(file.header)})",
        fix=_ragged_fix(row.lines[0], file.separator, len(row.fields) - len(file.header)),
    )


def _ragged_fix(line: str, separator: str, surplus: int) -> str:
    other = next((sign for sign in SEPARATOR_NAMES if sign in line and sign != separator), None)
    if surplus < 0 and separator not in line and other:
        return f"separate its fields by {SEPARATOR_NAMES[separator]}, not by {SEPARATOR_NAMES[other]}"
    if surplus > 0:
        return f"put quotes round the text that holds {SEPARATOR_NAMES[separator]}"
    return "add what is missing, or put quotes round a text that holds a line break"


def _from_records(path: Path, found: Iterable[tuple[int, Record | str]]) -> Table:
    records, lines = list[Record](), list[int]()
    for number, record in found:
        if isinstance(record, str):
            raise UserError(
                f"{path}, line {number}",
                found=shorten(record),
                expected="one JSON object on each line, or a list of objects",
                fix="write each row as {...}",
            )
        records.append(record)
        lines.append(number)
    names = list(dict.fromkeys(name for record in records for name in record))
    return {name: [record.get(name) for record in records] for name in names} | {LINE: lines}


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa  # a quarter of a second: for those who read one
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(
            str(path), found=shorten(str(error)), expected="a Parquet file", fix="write the file again"
        ) from None
    return table.to_pydict() | {LINE: list(range(1, table.num_rows + 1))}
