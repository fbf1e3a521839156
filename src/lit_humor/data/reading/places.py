"""Names the place of a row in a file: a line of a text file, or a row of a JSON document or Parquet file."""

from __future__ import annotations


class RowNumber(int):
    """Number of a row, from 1, in a file whose rows are not lines; any other number of a place is a line number."""

    __slots__ = ()


def name_place(number: int) -> str:
    """Return ``line 3`` for the number of a line, ``row 3`` for that of a row."""
    return f"{'row' if isinstance(number, RowNumber) else 'line'} {int(number)}"
