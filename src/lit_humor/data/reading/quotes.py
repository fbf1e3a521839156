"""Finds rows that a stray quote swallowed: a field that begins with a quote contains all lines up to the next quote.

A text of several lines that is quoted on purpose looks the same. The lines inside decide: swallowed lines are complete
rows, with as many fields as the header and with numbers in the columns of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from lit_humor.core.errors import UserError
from lit_humor.data.reading.separated import LineFeed, Row, Separated, write_row

_HEAD_LINES = 20_000  # used to infer what a column holds
_CHECK_EVERY = 1000  # lines of one row; after so many lines an unfinished row is checked
_MAX_CHARACTERS = 1 << 23  # of a row of several lines: a longer one may be the rest of a huge file
_MAX_SUSPECTS = 10_000  # the search stops after so many
_MAX_LINES = 1_000_000  # of the file that are searched for a remedy
_MAX_NAMES = 20  # distinct values of a column of names, such as labels
_MIN_NAME_LENGTH = 20  # characters; names and placeholders of missing numbers may be this long
_NOT_IN_PROSE = ("\t", "|")  # separators
_MIN_QUOTED_SHARE = 0.1  # of the lines, if a CSV writer quotes texts with commas; fewer may be quoted speech
_MANY_LINES = 20  # of a text that is more than half of the file


class _Suspect(NamedTuple):
    """A place where quotes may have swallowed rows: first and last line number, first line, and description."""

    first: int
    last: int | None
    line: str
    problem: str
    is_text: bool


class _RowTooLong(Exception):
    """The current row is so long that reading stops."""


def checked_rows(file: Separated, key: str) -> Iterator[Row]:
    """Yield the rows of a file, then raise if quotes swallowed rows, or may have done so.

    A very long row is not read to its end: the error is raised at once.

    Args:
        file: The file; nothing is checked unless its quoting is ``auto``, as then the user has decided.
        key: The setting that decides, ``data.quoting`` or ``quoting``.

    Raises:
        UserError: Names the first such place, the number of others, and the remedy.
    """
    if file.quoting != "auto":
        yield from file.rows()
        return
    classifier, suspects = _RowClassifier(file), list[_Suspect]()

    def check_length(feed: LineFeed) -> None:
        num_lines = len(feed.row_lines)
        if num_lines % _CHECK_EVERY:
            return
        is_suspect = num_lines == _CHECK_EVERY and classifier.may_be_several_rows(feed.row_lines, is_complete=False)
        if is_suspect or feed.num_characters > _MAX_CHARACTERS:
            problem = f"a quote that is not closed in {num_lines:,} lines; {classifier.describe(feed.row_lines)}"
            suspects.append(_Suspect(feed.first, None, feed.row_lines[0], problem, is_text=True))
            raise _RowTooLong

    with suppress(_RowTooLong):
        for row in file.rows(check_length):
            if (row.fault or len(row.lines) > 1) and (suspect := classifier.suspect_of(row)):
                suspects.append(suspect)
                if len(suspects) == _MAX_SUSPECTS:
                    break
            yield row
    if suspects:
        raise _quoting_error(file, sorted(suspects), key)


class _RowClassifier:
    """Distinguishes swallowed rows from texts of several lines, by the values of the columns in the first rows."""

    def __init__(self, file: Separated) -> None:
        self.file, self.num_fields = file, len(file.header)
        head = replace(file, open_lines=lambda: islice(file.open_lines(), _HEAD_LINES))
        rows = [row for row in head.rows() if len(row.fields) == self.num_fields and not row.fault]
        columns = zip(*(row.fields for row in rows), strict=True) if rows else [()] * self.num_fields
        self.columns = [_ColumnProfile([value for value in column if "\n" not in value]) for column in columns]
        self.is_distinctive = any(column.is_distinctive for column in self.columns)
        # A CSV writer quotes exactly the fields that need it, or all fields.
        lines = [row.lines[0].rstrip("\r\n") for row in rows if len(row.lines) == 1]
        num_quoted = sum(line.startswith('"') and (file.separator in line or '""' in line) for line in lines)
        quotes_needed = num_quoted > 0 and num_quoted >= _MIN_QUOTED_SHARE * len(lines)
        all_quoted = bool(lines) and all(line.startswith('"') for line in lines)
        self.quoted_by_writer = (quotes_needed or all_quoted) and not any(
            '"' in line and not line.startswith('"') for line in lines
        )

    def is_row(self, line: str) -> bool:
        """Whether a line could be a complete row."""
        fields = self.file.split(line)
        return len(fields) == self.num_fields and all(
            column.fits(_without_quotes(value)) for column, value in zip(self.columns, fields, strict=True)
        )

    def has_row_form(self, line: str, may_be_empty: bool = False) -> bool:
        """Whether a line has the form of a row: values of a known form, and no blanks after separators as in prose.

        A value may be missing where ``may_be_empty``, and where the separator does not occur in prose.
        """
        fields = self.file.split(line)
        may_be_empty = may_be_empty or (self.num_fields > 1 and self.file.separator in _NOT_IN_PROSE)
        return (
            len(fields) == self.num_fields
            and not any(value.startswith(" ") for value in fields[1:])
            and all(
                column.fits_form(_without_quotes(value)) or (may_be_empty and not value.strip())
                for column, value in zip(self.columns, fields, strict=True)
            )
        )

    def may_be_several_rows(self, lines: Sequence[str], is_complete: bool = True) -> bool:
        """Whether the lines of one row may be several rows; ``is_complete``: its last line is read."""
        lines = [line for line in lines if line.strip()]
        if self.num_fields == 1:
            return not self._is_text_alone(lines)
        is_row = [self.is_row(line) for line in lines]
        if self.is_distinctive:  # the first and last line contain the other columns, too
            has_row_inside = any(is_row[1:-1] if is_complete else is_row[1:]) or (is_complete and all(is_row))
            may_be_empty = is_complete and len(lines) > 1 and self._has_value_between_quotes(lines)
            return has_row_inside or all(self.has_row_form(line, may_be_empty) for line in lines)  # values may be new
        is_most_of_file = len(lines) >= _MANY_LINES and 2 * sum(map(len, lines)) > self.file.path.stat().st_size
        return (is_most_of_file and any(is_row[1:])) or (is_row[0] and 3 * sum(is_row) >= 2 * len(is_row))

    def _has_value_between_quotes(self, lines: Sequence[str]) -> bool:
        """Whether a number or a name of another column is inside the quotes, as if a row ended or began there.

        Without one, a line that ends with a comma is not taken for a row with a missing label: poems have such lines.
        """
        first, *inner, last = map(self.file.split, lines)
        start = max((index for index, value in enumerate(first) if value.startswith('"')), default=len(first))
        end = next((index for index, value in enumerate(last) if value.rstrip().endswith('"')), 0)
        return any(
            column.is_distinctive and value.strip() and column.fits(_without_quotes(value))
            for fields in ([""] * (start + 1) + first[start + 1 :], *inner, last[:end])
            for column, value in zip(self.columns, fields, strict=False)
        )

    def _is_text_alone(self, lines: Sequence[str]) -> bool:
        """Whether the only field of a row is a text that needs quotes: it has separators or quotes inside."""
        inner_lines = lines[1:-1] or lines[1:]
        return self.quoted_by_writer or any(self.file.separator in line or '""' in line for line in inner_lines)

    def describe(self, lines: Sequence[str]) -> str:
        """Return a phrase that says how many of the lines look like rows."""
        num_rows = sum(self.is_row(line) or self.has_row_form(line, may_be_empty=True) for line in lines)
        phrase = "looks like a row of its own" if num_rows == 1 else "look like rows of their own"
        return f"{num_rows:,} of them {phrase}"

    def suspect_of(self, row: Row) -> _Suspect | None:
        """Return the row as a suspect if it may be several rows or its quotes are broken, else None."""
        is_multiline, is_ragged = len(row.lines) > 1, len(row.fields) != self.num_fields
        if row.fault or (is_multiline and (is_ragged or self.may_be_several_rows(row.lines))):
            problem = row.fault or f"a quote that opens in line {row.first} and closes in line {row.last}"
            if is_multiline:
                problem += f": {len(row.lines):,} lines were read as one row, but {self.describe(row.lines)}"
            is_text = is_multiline and not row.fault and not is_ragged
            return _Suspect(row.first, row.last, row.lines[0], problem, is_text)
        return None


def _without_quotes(value: str) -> str:
    """Return a value without blanks and quotes around it; a value of quotes alone stays, as it is not empty."""
    return value.strip(' "') or value.strip()


class _ColumnProfile:
    """The values of a column in the first rows: numbers, a few names, or anything."""

    def __init__(self, values: Sequence[str]) -> None:
        filled = [value.strip() for value in values if value.strip()]
        self.may_be_empty = len(filled) < len(values) or not values
        self.names = frozenset(filled) if len(set(filled)) <= min(_MAX_NAMES, len(filled) // 4) else frozenset()
        self.is_number = bool(filled) and all(map(is_number, filled))
        self.is_distinctive = bool(self.names) or self.is_number
        self.max_characters = max(_MIN_NAME_LENGTH, *map(len, self.names), 0)
        self.max_words = 1 + max((len(name.split()) for name in self.names if not self.is_number), default=0)

    def fits(self, value: str) -> bool:
        """Whether a value fits the column: a number, one of the names, or anything."""
        value = value.strip()
        if not value:
            return self.may_be_empty
        return is_number(value) if self.is_number else value in self.names if self.names else True

    def fits_form(self, value: str) -> bool:
        """Whether a value has the form of the column: as short as its names, or a word in place of a number."""
        if self.fits(value) or not self.is_distinctive:
            return bool(value.strip()) or self.may_be_empty
        return 0 < len(value) <= self.max_characters and len(value.split()) <= self.max_words


def is_number(value: str) -> bool:
    """Whether a text can be converted to a float."""
    try:
        float(value)
    except ValueError:
        return False
    return True


def _quoting_error(file: Separated, suspects: Sequence[_Suspect], key: str) -> UserError:
    first = suspects[0]
    span = f"line {first.first}" + ("" if first.last == first.first else f" to {first.last or '…'}")
    more = (
        f" (and {len(suspects) - 1:,} more such places, the last in line {suspects[-1].first})" if suspects[1:] else ""
    )
    lines = islice(file.open_lines(), file.header_line, _MAX_LINES)
    if all(len(file.split(line)) == len(file.header) for line in lines if line.strip("\r\n")):
        fix = f"set {key}=none (quotes are plain characters in this file)"
    elif len(fields := file.split(first.line)) == len(file.header):
        fix = f"if this quote is a plain character, write line {first.first} as {write_row(fields, file.separator)}"
    else:
        fix = f"close the quotes of line {first.first}, and double those inside of a text"
    if any(suspect.is_text for suspect in suspects):
        fix += f", or set {key}=standard (these are texts of several lines)"
    expected = "a line for each row, or texts of several lines between quotes, with quotes inside doubled"
    return UserError(f"{file.path}, {span}", found=first.problem + more, expected=expected, fix=fix)
