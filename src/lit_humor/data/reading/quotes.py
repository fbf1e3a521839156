"""Finds rows that a stray quote swallowed: a field that begins with a quote holds all lines up to the next one.

A text of several lines that somebody quoted on purpose looks alike. They are told apart by the lines inside: those of
a swallowed row are rows of their own, with as many fields as the header has and numbers where other rows have numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from lit_humor.core.errors import UserError
from lit_humor.data.reading.separated import LineFeed, Row, Separated, write_row

_HEAD_LINES = 20_000  # that tell what a column holds
_LOOK_EVERY = 1000  # lines of one row: a row that goes on and on is judged as far as it goes
_LONGEST = 1 << 23  # characters of a row of several lines: more may be all the rest of a huge file
_MOST_PLACES = 10_000  # after which no more are looked for
_MOST_LINES = 1_000_000  # that are looked through for a remedy
_MOST_NAMES = 20  # of a column of names, such as labels
_SHORT_NAME = 20  # characters of a name, or of what stands for a missing number
_MANY_LINES = 20  # of a text that is longer than all the others together


class _Place(NamedTuple):
    """Where quotes swallowed rows, or may have: the first and last line, and what was found."""

    first: int
    last: int | None
    line: str
    found: str
    is_text: bool


class _LongEnough(Exception):
    """A row goes on and on."""


def checked_rows(file: Separated, key: str) -> Iterator[Row]:
    """The rows of a file; refuses it at their end where quotes swallowed rows, or where that cannot be told.

    A row that goes on and on is not read to its end: then the refusal comes at once.

    Args:
        file: What to read; where its quoting is not ``auto``, the user decided and nothing is checked.
        key: The setting that decides, ``data.quoting`` or ``quoting``.

    Raises:
        UserError: Names the first such place, how many more there are, and what to do.
    """
    if file.quoting != "auto":
        yield from file.rows()
        return
    judge, places = _Judge(file), list[_Place]()

    def look(feed: LineFeed) -> None:
        num_lines = len(feed.of_row)
        if num_lines % _LOOK_EVERY:
            return
        is_odd = num_lines == _LOOK_EVERY and judge.suspects(feed.of_row, ends=False)
        if is_odd or feed.num_characters > _LONGEST:
            found = f"a quote that is not closed in {num_lines:,} lines; {judge.describe(feed.of_row)}"
            places.append(_Place(feed.first, None, feed.of_row[0], found, is_text=True))
            raise _LongEnough

    with suppress(_LongEnough):
        for row in file.rows(look):
            if (row.fault or len(row.lines) > 1) and (place := judge.place_of(row)):
                places.append(place)
                if len(places) == _MOST_PLACES:
                    break
            yield row
    if places:
        raise _refusal(file, sorted(places), key)


class _Judge:
    """Tells swallowed rows from texts of several lines, by what the columns hold in the first rows of the file."""

    def __init__(self, file: Separated) -> None:
        self.file, self.count = file, len(file.header)
        head = replace(file, open_lines=lambda: islice(file.open_lines(), _HEAD_LINES))
        rows = [row for row in head.rows() if len(row.fields) == self.count and not row.fault]
        columns = zip(*(row.fields for row in rows), strict=True) if rows else [()] * self.count
        self.columns = [_Column([value for value in column if "\n" not in value]) for column in columns]
        self.can_tell = any(column.can_tell for column in self.columns)
        # A CSV writer puts quotes only round fields that need them, and round all of those.
        lines = [row.lines[0].rstrip("\r\n") for row in rows if len(row.lines) == 1]
        needed = any(line.startswith('"') and (file.separator in line or '""' in line) for line in lines)
        of_all = bool(lines) and all(line.startswith('"') for line in lines)
        self.by_writer = (needed or of_all) and not any('"' in line and not line.startswith('"') for line in lines)

    def is_row(self, line: str) -> bool:
        """Whether a line could be a row of its own."""
        fields = self.file.split(line)
        return len(fields) == self.count and all(
            column.fits(value.strip(' "')) for column, value in zip(self.columns, fields, strict=True)
        )

    def is_alike(self, line: str) -> bool:
        """Whether a line has the form of a row: names of a known form, and no blanks after separators, as in prose."""
        fields = self.file.split(line)
        return (
            len(fields) == self.count
            and not any(value.startswith(" ") for value in fields[1:])
            and all(column.is_alike(value.strip(' "')) for column, value in zip(self.columns, fields, strict=True))
        )

    def suspects(self, lines: Sequence[str], ends: bool = True) -> bool:
        """Whether the lines of one row may be several rows; ``ends`` says that all of its lines are there."""
        lines = [line for line in lines if line.strip()]
        if self.count == 1:
            return not self._is_text_alone(lines)
        rows = [self.is_row(line) for line in lines]
        if self.can_tell:  # the first and last line of a text hold the other columns, too
            is_any = any(rows[1:-1] if ends else rows[1:]) or (ends and all(rows))
            return is_any or all(map(self.is_alike, lines))  # with names or words that the first rows do not have
        is_most = len(lines) >= _MANY_LINES and 2 * sum(map(len, lines)) > self.file.path.stat().st_size
        return (is_most and any(rows[1:])) or (rows[0] and 3 * sum(rows) >= 2 * len(rows))

    def _is_text_alone(self, lines: Sequence[str]) -> bool:
        """Whether the only field of a row is a text that needed its quotes; lines without separators need none."""
        inside = lines[1:-1] or lines[1:]
        return self.by_writer or any(self.file.separator in line or '""' in line for line in inside)

    def describe(self, lines: Sequence[str]) -> str:
        """How many lines look like rows, in words."""
        count = sum(self.is_row(line) or self.is_alike(line) for line in lines)
        like = "looks like a row of its own" if count == 1 else "look like rows of their own"
        return f"{count:,} of them {like}"

    def place_of(self, row: Row) -> _Place | None:
        """The place of a row that may be several, or whose quotes are broken."""
        is_long, is_odd = len(row.lines) > 1, len(row.fields) != self.count
        if row.fault or (is_long and (is_odd or self.suspects(row.lines))):
            found = row.fault or f"a quote that opens in line {row.first} and closes in line {row.last}"
            if is_long:
                found += f": {len(row.lines):,} lines were read as one row, but {self.describe(row.lines)}"
            return _Place(row.first, row.last, row.lines[0], found, is_text=is_long and not row.fault and not is_odd)
        return None


class _Column:
    """What a column holds in the first rows: numbers, a few names, or anything."""

    def __init__(self, values: Sequence[str]) -> None:
        filled = [value.strip() for value in values if value.strip()]
        self.may_be_empty = len(filled) < len(values) or not values
        self.names = frozenset(filled) if len(set(filled)) <= min(_MOST_NAMES, len(filled) // 4) else frozenset()
        self.is_number = bool(filled) and all(map(is_number, filled))
        self.can_tell = bool(self.names) or self.is_number
        self.most_characters = max(_SHORT_NAME, *map(len, self.names), 0)
        self.most_words = 1 + max((len(name.split()) for name in self.names if not self.is_number), default=0)

    def fits(self, value: str) -> bool:
        """Whether a value is like those."""
        value = value.strip()
        if not value:
            return self.may_be_empty
        return is_number(value) if self.is_number else value in self.names if self.names else True

    def is_alike(self, value: str) -> bool:
        """Whether a value has the form of those: as short as the names, or a word in place of a number."""
        if self.fits(value) or not self.can_tell:
            return bool(value.strip()) or self.may_be_empty
        return 0 < len(value) <= self.most_characters and len(value.split()) <= self.most_words


def is_number(value: str) -> bool:
    """Whether a text is a number."""
    try:
        float(value)
    except ValueError:
        return False
    return True


def _refusal(file: Separated, places: Sequence[_Place], key: str) -> UserError:
    first = places[0]
    span = f"line {first.first}" + ("" if first.last == first.first else f" to {first.last or '…'}")
    more = f" (and {len(places) - 1:,} more such places, the last in line {places[-1].first})" if places[1:] else ""
    lines = islice(file.open_lines(), file.header_line, _MOST_LINES)
    if all(len(file.split(line)) == len(file.header) for line in lines if line.strip("\r\n")):
        fix = f"set {key}=none (quotes are plain characters in this file)"
    elif len(fields := file.split(first.line)) == len(file.header):
        fix = f"if this quote is a plain character, write line {first.first} as {write_row(fields, file.separator)}"
    else:
        fix = f"close the quotes of line {first.first}, and double those inside of a text"
    if any(place.is_text for place in places):
        fix += f", or set {key}=standard (these are texts of several lines)"
    expected = "a line for each row, or texts of several lines between quotes, with quotes inside doubled"
    return UserError(f"{file.path}, {span}", found=first.found + more, expected=expected, fix=fix)
