"""CSV and TSV: the rules of separator, header and quotes, for files in memory and for files larger than it."""

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
from typing import Literal, NamedTuple

from lit_humor.core.errors import UserError

Quoting = Literal["auto", "standard", "none"]
EXPECTED = {".csv": ",", ".tsv": "\t"}
SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}

csv.field_size_limit(sys.maxsize)  # the standard limit of 128 KiB refuses long texts

_HEAD_LINES = 1000  # that tell how a file is written
_HEAD_CHARACTERS = 1 << 22
_AGREE = 0.8  # share of the first rows that must have as many fields as the header, for another separator


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        first: Line it begins in, from 1.
        lines: All of its lines, as they stand in the file.
        fields: Its values; as many as the header has, unless the row is damaged.
        fault: What is wrong with its quotes; empty where nothing is.
        as_typed: Whether quotes that close nothing were taken as plain characters.
    """

    first: int
    lines: list[str]
    fields: list[str]
    fault: str = ""
    as_typed: bool = False

    @property
    def last(self) -> int:
        """Line it ends in."""
        return self.first + len(self.lines) - 1


class LineFeed:
    """Hands the lines of a file to the CSV reader, and remembers those of the row that is being read.

    Args:
        lines: With their ends.
        start: Number of the line before the first.
        check: Called with this object whenever a row takes one more line; what it raises ends the reading.
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
        self.of_row.append(line)
        self.num_characters += len(line)
        if self._check and len(self.of_row) > 1:
            self._check(self)
        return line

    def start_row(self) -> None:
        """Forget the lines of the row before."""
        self.of_row, self.num_characters = list[str](), 0

    @property
    def first(self) -> int:
        """Line in which the row begins."""
        return self.number - len(self.of_row) + 1


@dataclass(frozen=True)
class Separated:
    """A CSV or TSV file.

    Attributes:
        path: For messages.
        open_lines: Begins to read the file: its lines, with their ends.
        separator: The one that the file really has.
        header: Names of the columns.
        header_line: Where it stands, from 1.
        quoting: ``none`` takes quotes as plain characters; the other two as the CSV standard (RFC 4180) has them.
    """

    path: Path
    open_lines: Callable[[], Iterable[str]]
    separator: str
    header: list[str]
    header_line: int
    quoting: Quoting

    @property
    def note(self) -> str:
        """What a person should know about how the file was read; mostly nothing."""
        expected = EXPECTED.get(self.path.suffix.lower(), self.separator)
        if self.separator == expected:
            return ""
        return f"fields are separated by {SEPARATOR_NAMES[self.separator]}, not by {SEPARATOR_NAMES[expected]}"

    def rows(self, check: Callable[[LineFeed], None] | None = None) -> Iterator[Row]:
        """The rows after the header; blank lines are none.

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
                yield self._broken(feed, str(error))
            else:
                if fields:
                    yield Row(feed.first, feed.of_row, fields)
            feed.start_row()

    def _broken(self, feed: LineFeed, reason: str) -> Row:
        """A row whose quotes break the rules; as it is typed where that is clear: "Be yourself" - Oscar Wilde."""
        if "unexpected end" in reason:
            reason = "a quote that is never closed"
        elif len(feed.of_row) == 1 and len(fields := self.split(feed.of_row[0])) == len(self.header):
            return Row(feed.first, feed.of_row, fields, as_typed=True)
        return Row(feed.first, feed.of_row, ["".join(feed.of_row).rstrip("\r\n")], f"broken quoting ({reason})")

    def split(self, line: str) -> list[str]:
        """A line as a row whose quotes are plain characters; see ``split_line``."""
        return split_line(line, self.separator, len(self.header))


def split_line(line: str, separator: str, count: int) -> list[str]:
    """The fields of a line whose quotes are plain characters.

    Where all of several fields stand in quotes, these are those of the file and no part of the fields. Where there
    are more fields than ``count``, one that begins (or else ends) with a quote takes the surplus ones in.
    """
    line = line.rstrip("\r\n")
    fields = line.split(separator)
    surplus = len(fields) - count
    inside = line[1:-1].split(f'"{separator}"') if line[:1] == '"' == line[-1:] else []
    is_quoted = len(inside) == count > 1
    if surplus <= 0 and not is_quoted:
        return fields
    with suppress(csv.Error, StopIteration):
        quoted = next(csv.reader([line], delimiter=separator, strict=True))
        if len(quoted) == count:
            return quoted
    if is_quoted:
        return inside
    starts = [at for at, one in enumerate(fields) if one.startswith('"') and at + surplus < len(fields)]
    starts = starts or [at - surplus for at, one in enumerate(fields) if one.endswith('"') and at >= surplus]
    if not starts:
        return fields
    start = starts[0]
    return [*fields[:start], separator.join(fields[start : start + surplus + 1]), *fields[start + surplus + 1 :]]


def open_separated(path: Path, open_lines: Callable[[], Iterable[str]], quoting: Quoting, key: str) -> Separated:
    """Look at the beginning of a file: which separator it has, and which columns.

    The separator is that of the ending, unless the header has one field under it and several under another one, as
    the rows below have.

    Args:
        path: For messages.
        open_lines: Begins to read the file: its lines, with their ends.
        quoting: What quotes mean.
        key: The setting that says so, for messages.

    Raises:
        UserError: The file is empty, or header and rows differ in the separator.
    """
    head, characters = list[str](), 0
    for line in open_lines():
        head.append(line)
        characters += len(line)
        if len(head) == _HEAD_LINES or characters > _HEAD_CHARACTERS:
            break
    at = next((number for number, line in enumerate(head) if line.strip()), None)
    if at is None:
        raise UserError(str(path), found="an empty file", expected="a header and rows", fix="put these into the file")
    separator = _find_separator(path, head[at:], at + 1)
    header, num_lines = _read_header(head[at:], separator)
    if num_lines > 1 and quoting != "standard":
        header, num_lines = split_line(head[at], separator, 0), 1
        if quoting == "auto":
            raise UserError(
                f"{path}, line {at + 1}",
                found="a quote in the header that is not closed in its line",
                expected="the names of the columns on one line",
                fix=f"close it, or set {key}=none if quotes are plain characters in this file",
            )
    return Separated(path, open_lines, separator, header, at + num_lines, quoting)


def _read_header(head: Sequence[str], separator: str) -> tuple[list[str], int]:
    """The header's names and the number of lines that it takes."""
    feed = LineFeed(head)
    header = next(csv.reader(feed, delimiter=separator), [])
    return [name.removeprefix("\ufeff") for name in header], feed.number


def _find_separator(path: Path, head: Sequence[str], line: int) -> str:
    expected = EXPECTED.get(path.suffix.lower(), ",")
    if len(_read_header(head, expected)[0]) > 1:
        return expected
    others = [sign for sign in SEPARATOR_NAMES if sign in head[0] and sign != expected]
    fitting = [sign for sign in others if _share_that_agrees(head, sign) >= _AGREE]
    if fitting:
        return fitting[0]
    names = [name for sign in others[:1] for name in _read_header(head, sign)[0]]
    if names and all(re.fullmatch(r"\s*\w{1,30}\s*", name) for name in names):  # a header, not a sentence
        raise UserError(
            f"{path}, line {line}",
            found=f"a header separated by {SEPARATOR_NAMES[others[0]]}, and rows that are not",
            expected=f"header and rows separated by {SEPARATOR_NAMES[expected]}",
            fix="write the header with the separator of the rows",
        )
    return expected


def _share_that_agrees(head: Sequence[str], separator: str) -> float:
    """Share of the first rows with as many fields as the header; 1 where there is no row."""
    rows = [row for row in islice(csv.reader(iter(head), delimiter=separator), 50) if row]
    same = [len(row) == len(rows[0]) for row in rows[1:]]
    return sum(same) / len(same) if same else 1.0


def lines_of(text: str) -> Callable[[], Iterable[str]]:
    """Lines of a text that is in memory, as often as they are asked for."""
    return lambda: io.StringIO(text, newline="")


def write_row(fields: Sequence[str], separator: str) -> str:
    """A row as a CSV writer writes it, without the end of the line."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="").writerow(fields)
    return text.getvalue()
