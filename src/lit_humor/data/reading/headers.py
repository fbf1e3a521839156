"""Checks the header of a CSV or TSV file: column names, or data if the file has no header."""

from __future__ import annotations

import codecs
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lit_humor.core.errors import UserError, shorten
from lit_humor.core.remedies import new_path
from lit_humor.data.reading.quotes import is_number
from lit_humor.data.reading.separated import EXPECTED, SEPARATOR_NAMES, Quoting, Separated, open_separated, write_row

_HEAD_LINES = 200
_MAX_NAME_LENGTH = 40  # characters; a longer name is a text
_MIN_SENTENCE_WORDS = 5
_BLANKS = re.compile(r"\s{2,}")
_MIN_LINES = 20  # after the header that agree with each other, if the header is wrong
_MAX_COLUMNS = 50  # whose names a command lists
_MIN_VALUES = 4  # fewest rows, and fewest rows per label, from which the type of a column is inferred


def open_checked(path: Path, open_lines: Callable[[], Iterable[str]], quoting: Quoting, key: str) -> Separated:
    """Open a CSV or TSV file and check its header; for the arguments see ``open_separated``.

    Raises:
        UserError: The file is empty, has two columns of the same name, a comment above the header, or a header with
            blanks in place of separators.
    """
    file = open_separated(path, open_lines, quoting, key)
    _refuse_line_above_header(file)
    duplicate = next((name for name in file.header if file.header.count(name) > 1), None)
    if duplicate is not None:
        refuse_data_as_header(file, "text", "label")
        raise UserError(
            f"{path}, line {file.header_line}",
            found=f"column {shorten(duplicate, 40)} twice",
            expected="each column once",
            fix="rename or drop one of them",
        )
    return file


def _refuse_line_above_header(file: Separated) -> None:
    """Raise an error if the first line is a comment, or names with blanks in place of the separator of the rows."""
    head = replace(file, open_lines=lambda: islice(file.open_lines(), file.header_line + _MIN_LINES))
    rows = [row for row in head.rows() if not row.fault]
    row = rows[0] if rows else None
    first = file.separator.join(file.header).strip()
    if row is None or len(row.fields) <= len(file.header) or row.first != file.header_line + 1:
        return
    if any(len(other.fields) != len(row.fields) for other in rows):  # texts with unquoted separators
        return
    source = shlex.quote(str(file.path))
    target = shlex.quote(str(new_path(file.path.with_suffix(f".header{file.path.suffix}"))))
    names = next((parts for parts in (_BLANKS.split(first), first.split()) if len(parts) == len(row.fields)), None)
    if first.startswith(("#", "//")):
        found, rest = "a comment above the header", f"tail -n +{row.first} {source} > {target}"
    elif len(file.header) == 1 and names:
        line = shlex.quote(write_row(names, file.separator))
        found = f"a header without {SEPARATOR_NAMES[file.separator]}: {shorten(first)}"
        rest = f"(printf '%s\\n' {line}; tail -n +{row.first} {source}) > {target}"
    else:
        return
    expected = f"the names of the {len(row.fields)} columns in the first line"
    fix = f"{rest}, and name that file"
    raise UserError(f"{file.path}, line {file.header_line}", found=found, expected=expected, fix=fix)


def refuse_data_as_header(file: Separated, text: str, label: str | None) -> None:
    """Raise an error if the first line of a file is data; it names the command that adds a header.

    Args:
        file: The file.
        text: Name for the column of texts.
        label: Name for the column of labels; None if no label is needed.

    Raises:
        UserError: The first line is a row like the others.
    """
    head = replace(file, open_lines=lambda: islice(file.open_lines(), file.header_line + _HEAD_LINES))
    rows = [row.fields for row in head.rows() if len(row.fields) == len(file.header)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in file.header]
    if not _is_data(file.header, columns):
        return
    names = _name_columns(columns, text, label)
    source = shlex.quote(str(file.path))
    target = shlex.quote(str(new_path(file.path.with_suffix(f".header{file.path.suffix}"))))
    with file.path.open("rb") as raw:
        copy = "tail -c +4" if raw.read(3) == codecs.BOM_UTF8 else "cat"
    line = shlex.quote(write_row(names, file.separator))
    fix = f"(printf '%s\\n' {line}; {copy} {source}) > {target}, and name that file; see whether the names are right"
    if len(names) > _MAX_COLUMNS:
        fix = f"put a line with the names of its {len(names):,} columns before it"
    raise UserError(
        f"{file.path}, line {file.header_line}",
        found=f"data in place of a header: {shorten(file.separator.join(file.header))}",
        expected="the names of the columns in the first line",
        fix=fix,
    )


def refuse_file_without_header(path: Path, text: str, label: str | None) -> None:
    """Do the same for a path; only CSV and TSV files are checked."""
    if path.suffix.lower() in EXPECTED and path.is_file():

        def lines() -> Iterable[str]:
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                yield from file

        refuse_data_as_header(open_separated(path, lines, "standard", "quoting"), text, label)


def _is_data(header: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether a header looks like a row: a number above numbers, a label above the same label, or a sentence."""
    has_evidence = False
    # A label above the same labels tells more than the form of a question.
    has_label = any(
        name.strip() in values and 2 * len(set(values)) <= len(values)
        for name, values in zip(header, columns, strict=True)
    )
    for name, values in zip(header, columns, strict=True):
        filled = [value.strip() for value in values if value.strip()]
        if filled and all(map(is_number, filled)):
            if not is_number(name):
                return False
            has_evidence = True
        elif is_number(name) or not name.strip() or _is_column_name(name.strip(), filled, has_label):
            return False  # pandas writes a number or a blank as the name of an unnamed column
        elif (
            (name.strip() in filled and len(set(filled)) * 2 <= len(filled))
            or len(name) > _MAX_NAME_LENGTH
            or len(name.split()) >= _MIN_SENTENCE_WORDS
        ):
            has_evidence = True
    return has_evidence


def _is_column_name(name: str, values: Sequence[str], has_label: bool) -> bool:
    """Whether a text is a name rather than a value: it is above dates, above few labels, or a question above none.

    Surveys use whole questions as column names; ``has_label``: another value of the line is a label, not a name.
    """
    if len(values) < _MIN_VALUES:
        return False
    is_over_dates = not name[0].isdigit() and all(value[0].isdigit() for value in values)
    is_over_labels = len(set(values)) * _MIN_VALUES <= len(values) and name not in values
    is_question = not has_label and name[-1] in "?:" and not any(value[-1] == name[-1] for value in values)
    return is_over_dates or is_over_labels or is_question


def _name_columns(columns: Sequence[Sequence[str]], text: str, label: str | None) -> list[str]:
    """Name unnamed columns: the longest values are the texts, the fewest distinct values are the labels."""
    names = [f"column{number}" for number in range(1, len(columns) + 1)]
    text_index = max(range(len(columns)), key=lambda index: sum(map(len, columns[index])))
    others = [index for index in range(len(columns)) if index != text_index]
    if label is not None and others:
        names[min(others, key=lambda index: _label_column_rank(columns[index]))] = label
    names[text_index] = text
    return names


def _label_column_rank(values: Sequence[str]) -> tuple[bool, int]:
    """Sort key, lower for a column that is more likely to hold labels: few distinct values, but at least two."""
    counts = Counter(values)
    return len(counts) < 2, len(counts)
