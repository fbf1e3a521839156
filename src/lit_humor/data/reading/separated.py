"""Reads CSV and TSV: separator, header and quotes, for files in memory and files larger than memory."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from lit_humor.core.errors import UserError

Quoting = Literal["auto", "standard", "none"]
EXPECTED = {".csv": ",", ".tsv": "\t"}
SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}

csv.field_size_limit(sys.maxsize)  # the default limit of 128 KiB rejects long texts

_HEAD_LINES = 1000  # used to detect separator and header
_HEAD_CHARACTERS = 1 << 22
_EXCEL_SEPARATOR = re.compile(r'\ufeff?"?sep=([,;|\t])"?\s*', re.IGNORECASE)  # a first line that Excel reads
_MIN_AGREEMENT = 0.8  # another separator is accepted if this share of the first rows has as many fields as the header


def as_quoting(value: str) -> Quoting:
    """Check the setting ``quoting`` of a command, and return it.

    Raises:
        UserError: It is none of the three.
    """
    if value not in get_args(Quoting):
        known = ", ".join(get_args(Quoting))
        raise UserError("quoting", found=value, expected=f"one of {known}", fix="set quoting=none")
    return cast(Quoting, value)


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        first: Number of its first line, from 1.
        lines: Its lines, exactly as in the file.
        fields: Its values; as many as the header has, unless the row is damaged.
        fault: Description of broken quotes; empty if the quotes are fine.
        as_typed: Whether unbalanced quotes were read as plain characters.
    """

    first: int
    lines: list[str]
    fields: list[str]
    fault: str = ""
    as_typed: bool = False

    @property
    def last(self) -> int:
        """Number of its last line."""
        return self.first + len(self.lines) - 1


class LineFeed:
    """Iterator over the lines of a file for the CSV reader; keeps the lines of the current row.

    Args:
        lines: Lines with their line ends.
        start: Number of the line before the first one.
        check: Called with this object for every further line of a row; an exception that it raises stops the reading.
    """

    def __init__(self, lines: Iterable[str], start: int = 0, check: Callable[[LineFeed], None] | None = None) -> None:
        self._lines, self._check = iter(lines), check
        self.number = start
        self.start_row()

    def __iter__(self) -> LineFeed:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.row_lines.append(line)
        self.num_characters += len(line)
        if self._check and len(self.row_lines) > 1:
            self._check(self)
        return line

    def start_row(self) -> None:
        """Drop the lines of the previous row."""
        self.row_lines, self.num_characters = list[str](), 0

    @property
    def first(self) -> int:
        """Number of the first line of the current row."""
        return self.number - len(self.row_lines) + 1


@dataclass(frozen=True)
class Separated:
    """A CSV or TSV file.

    Attributes:
        path: For messages.
        open_lines: Opens the file and returns its lines with their line ends.
        separator: The separator that the file uses.
        header: Names of the columns.
        header_line: Number of the header's last line, from 1.
        quoting: ``none`` reads quotes as plain characters; the other two follow the CSV standard (RFC 4180).
    """

    path: Path
    open_lines: Callable[[], Iterable[str]]
    separator: str
    header: list[str]
    header_line: int
    quoting: Quoting

    @property
    def note(self) -> str:
        """A note on an unexpected separator; usually empty."""
        expected = EXPECTED.get(self.path.suffix.lower(), self.separator)
        if self.separator == expected:
            return ""
        return f"fields are separated by {SEPARATOR_NAMES[self.separator]}, not by {SEPARATOR_NAMES[expected]}"

    def rows(self, check: Callable[[LineFeed], None] | None = None) -> Iterator[Row]:
        """Yield the rows after the header; blank lines are skipped.

        Args:
            check: See ``LineFeed``.
        """
        lines = islice(self.open_lines(), self.header_line, None)
        if self.quoting == "none":
            for number, line in enumerate(lines, start=self.header_line + 1):
                if line.strip("\r\n"):
                    yield Row(number, [line], self.split(line))
            return
        feed = LineFeed(lines, self.header_line, check)
        reader = csv.reader(feed, delimiter=self.separator, strict=True)
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._row_with_broken_quotes(feed, str(error))
            else:
                if fields:
                    yield Row(feed.first, feed.row_lines, fields)
            feed.start_row()

    def _row_with_broken_quotes(self, feed: LineFeed, reason: str) -> Row:
        """Return a row with broken quotes; plain characters where that is clear: "Be yourself" - Oscar Wilde."""
        if "unexpected end" in reason:
            reason = "a quote that is never closed"
        elif len(feed.row_lines) == 1 and len(fields := self.split(feed.row_lines[0])) == len(self.header):
            return Row(feed.first, feed.row_lines, fields, as_typed=True)
        return Row(feed.first, feed.row_lines, ["".join(feed.row_lines).rstrip("\r\n")], f"broken quoting ({reason})")

    def split(self, line: str) -> list[str]:
        """Split a line whose quotes are plain characters; see ``split_line``."""
        return split_line(line, self.separator, len(self.header))


def split_line(line: str, separator: str, count: int) -> list[str]:
    """Split a line whose quotes are plain characters into fields.

    If all of several fields are quoted, the quotes belong to the file format and are removed. If there are more than
    ``count`` fields, a field that begins (or else ends) with a quote absorbs the surplus fields.
    """
    line = line.rstrip("\r\n")
    fields = line.split(separator)
    surplus = len(fields) - count
    unquoted = line[1:-1].split(f'"{separator}"') if line[:1] == '"' == line[-1:] else []
    all_quoted = len(unquoted) == count > 1
    if surplus <= 0 and not all_quoted:
        return fields
    with suppress(csv.Error, StopIteration):
        quoted = next(csv.reader([line], delimiter=separator, strict=True))
        if len(quoted) == count:
            return quoted
    if all_quoted:
        return unquoted
    starts = [index for index, field in enumerate(fields) if field.startswith('"') and index + surplus < len(fields)]
    starts = starts or [
        index - surplus for index, field in enumerate(fields) if field.endswith('"') and index >= surplus
    ]
    if not starts:
        return fields
    start = starts[0]
    return [*fields[:start], separator.join(fields[start : start + surplus + 1]), *fields[start + surplus + 1 :]]


def open_separated(path: Path, open_lines: Callable[[], Iterable[str]], quoting: Quoting, key: str) -> Separated:
    """Detect the separator and the columns from the beginning of a file.

    The separator follows from the ending, unless it gives one field only, and another separator gives several fields
    in both the header and the rows.

    Args:
        path: For messages.
        open_lines: Opens the file and returns its lines with their line ends.
        quoting: What quotes mean.
        key: The setting of ``quoting``, for messages.

    Raises:
        UserError: The file is empty, or header and rows have different separators.
    """
    head, num_characters = list[str](), 0
    for line in open_lines():
        head.append(line)
        num_characters += len(line)
        if len(head) == _HEAD_LINES or num_characters > _HEAD_CHARACTERS:
            break
    header_index = next((number for number, line in enumerate(head) if line.strip()), None)
    if header_index is None:
        raise UserError(str(path), found="an empty file", expected="a header and rows", fix="put these into the file")
    if match := _EXCEL_SEPARATOR.fullmatch(head[header_index]):
        header_index, separator = header_index + 1, match[1]
        if header_index == len(head):
            raise UserError(str(path), found="no header", expected="a header and rows", fix="put these into the file")
    else:
        separator = _find_separator(path, head[header_index:], header_index + 1)
    header, num_lines = _read_header(head[header_index:], separator)
    if num_lines > 1 and quoting != "standard":
        header, num_lines = split_line(head[header_index], separator, 0), 1
        if quoting == "auto":
            raise UserError(
                f"{path}, line {header_index + 1}",
                found="a quote in the header that is not closed in its line",
                expected="the names of the columns on one line",
                fix=f"close it, or set {key}=none if quotes are plain characters in this file",
            )
    return Separated(path, open_lines, separator, header, header_index + num_lines, quoting)


def _read_header(head: Sequence[str], separator: str) -> tuple[list[str], int]:
    """Return the names of the columns and the number of lines of the header."""
    feed = LineFeed(head)
    header = next(csv.reader(feed, delimiter=separator), [])
    return [name.removeprefix("\ufeff") for name in header], feed.number


def _find_separator(path: Path, head: Sequence[str], line: int) -> str:
    expected = EXPECTED.get(path.suffix.lower(), ",")
    if len(_read_header(head, expected)[0]) > 1:
        return expected
    others = [separator for separator in SEPARATOR_NAMES if separator in head[0] and separator != expected]
    agreeing = [separator for separator in others if _agreement(head, separator) >= _MIN_AGREEMENT]
    if agreeing:
        return agreeing[0]
    for separator in others[:1]:  # texts with unquoted separators: their rows are named one by one
        count, rows = head[0].count(separator), [line for line in head[1:] if line.strip()]
        if rows and all(line.count(separator) >= count and expected not in line for line in rows):
            return separator
    names = [name for separator in others[:1] for name in _read_header(head, separator)[0]]
    if names and all(re.fullmatch(r"\s*\w{1,30}\s*", name) for name in names):  # a header, not a sentence
        raise UserError(
            f"{path}, line {line}",
            found=f"a header separated by {SEPARATOR_NAMES[others[0]]}, and rows that are not",
            expected=f"header and rows separated by {SEPARATOR_NAMES[expected]}",
            fix="write the header with the separator of the rows",
        )
    return expected


def _agreement(head: Sequence[str], separator: str) -> float:
    """Return the share of the first rows with as many fields as the header; 1 if there is no row."""
    rows = [row for row in islice(csv.reader(iter(head), delimiter=separator), 50) if row]
    has_header_length = [len(row) == len(rows[0]) for row in rows[1:]]
    return sum(has_header_length) / len(has_header_length) if has_header_length else 1.0


def lines_of(text: str) -> Callable[[], Iterable[str]]:
    """Return a function that iterates over the lines of a text in memory, as often as it is called."""
    return lambda: io.StringIO(text, newline="")


def write_row(fields: Sequence[str], separator: str) -> str:
    """Return a row as a CSV writer writes it, without the line end."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="").writerow(fields)
    return text.getvalue()
