"""The first line of a CSV or TSV file: the names of the columns, or data where that line is missing."""

from __future__ import annotations

import codecs
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lit_humor.core.errors import UserError, shorten
from lit_humor.core.remedies import new_path
from lit_humor.data.reading.quotes import is_number
from lit_humor.data.reading.separated import EXPECTED, Quoting, Separated, open_separated, write_row

_HEAD_LINES = 200
_LONG_NAME = 40  # characters, from which on it is a text
_MANY_WORDS = 5
_FEW_VALUES = 4  # rows below, or rows for each label, from which on a column says what it holds


def open_checked(path: Path, open_lines: Callable[[], Iterable[str]], quoting: Quoting, key: str) -> Separated:
    """Open a CSV or TSV file whose header is in order; arguments as ``open_separated`` has them.

    Raises:
        UserError: It is empty or has a column twice.
    """
    file = open_separated(path, open_lines, quoting, key)
    twice = next((name for name in file.header if file.header.count(name) > 1), None)
    if twice is not None:
        refuse_data_as_header(file, "text", "label")
        raise UserError(
            f"{path}, line {file.header_line}",
            found=f"column '{twice}' twice",
            expected="each column once",
            fix="rename or drop one of them",
        )
    return file


def refuse_data_as_header(file: Separated, text: str, label: str | None) -> None:
    """Raise where the first line of a file is a row like the others, with the command that adds a header.

    Args:
        file: The file.
        text: What the column of texts is to be called.
        label: What the column of labels is to be called; None where none is needed.
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
    raise UserError(
        f"{file.path}, line {file.header_line}",
        found=f"data in place of a header: {shorten(file.separator.join(file.header))}",
        expected="the names of the columns in the first line",
        fix=f"(printf '%s\\n' {line}; {copy} {source}) > {target}, and name that file; see whether the names are right",
    )


def refuse_file_without_header(path: Path, text: str, label: str | None) -> None:
    """The same for a path; a file of another kind has no header that could be missing."""
    if path.suffix.lower() in EXPECTED and path.is_file():

        def lines() -> Iterable[str]:
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                yield from file

        refuse_data_as_header(open_separated(path, lines, "standard", "quoting"), text, label)


def _is_data(header: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether a header is like the rows: a number over numbers, a label over the same label, a sentence over texts."""
    is_like = False
    for name, values in zip(header, columns, strict=True):
        filled = [value.strip() for value in values if value.strip()]
        if filled and all(map(is_number, filled)):
            if not is_number(name):
                return False
            is_like = True
        elif is_number(name) or not name.strip() or _is_unlike(name.strip(), filled):
            return False  # a number or blank over texts: pandas writes these for columns that have no names
        elif (
            (name.strip() in filled and len(set(filled)) * 2 <= len(filled))
            or len(name) > _LONG_NAME
            or len(name.split()) >= _MANY_WORDS
        ):
            is_like = True
    return is_like


def _is_unlike(name: str, values: Sequence[str]) -> bool:
    """Whether a text is unlike those below: over dates, over few labels, or a question over what is none.

    Questions of a survey are names as long as sentences.
    """
    if len(values) < _FEW_VALUES:
        return False
    is_over_dates = not name[0].isdigit() and all(value[0].isdigit() for value in values)
    is_over_labels = len(set(values)) * _FEW_VALUES <= len(values) and name not in values
    asks = name[-1] in "?:" and not any(value[-1] == name[-1] for value in values)
    return is_over_dates or is_over_labels or asks


def _name_columns(columns: Sequence[Sequence[str]], text: str, label: str | None) -> list[str]:
    """Names for columns that have none: the longest values are the texts, the fewest different ones the labels."""
    names = [f"column{number}" for number in range(1, len(columns) + 1)]
    text_at = max(range(len(columns)), key=lambda at: sum(map(len, columns[at])))
    others = [at for at in range(len(columns)) if at != text_at]
    if label is not None and others:
        names[min(others, key=lambda at: _rank_of_labels(columns[at]))] = label
    names[text_at] = text
    return names


def _rank_of_labels(values: Sequence[str]) -> tuple[bool, int]:
    """Lower for a column that is more likely to hold labels: at least two different values, and few."""
    counts = Counter(values)
    return len(counts) < 2, len(counts)
