"""Numbers to predict: which columns hold them, and rows that have none. Legend: N rows, K columns of numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lit_humor.core.errors import UserError, shorten
from lit_humor.data.reading.columns import Columns, find_column

if TYPE_CHECKING:
    from lit_humor.data.examples import Examples
    from lit_humor.data.reading.tables import Table

LEAVE_OUT = "leave_out"
_ON_MISSING = ("error", LEAVE_OUT)


class Targets(NamedTuple):
    """What a table has to predict.

    Attributes:
        values: [N] float64, or [N, K] of several columns; nan where there is no number.
        columns: Names of the columns.
        problems: What is wrong with a row, by its position.
        missing: The same of rows to be left out, which have no number.
    """

    values: np.ndarray
    columns: tuple[str, ...]
    problems: dict[int, UserError]
    missing: dict[int, UserError]


def has_targets(columns: Columns) -> bool:
    """Whether rows have numbers to predict in place of a label."""
    return columns.target_column is not None or bool(columns.target_columns)


def read_targets(table: Table, columns: Columns, places: Sequence[object], origin: str) -> Targets:
    """Read ``data.target_column``, or ``data.target_columns``.

    Raises:
        UserError: Both are set, there is no such column, or ``data.missing_targets`` is none of its values.
    """
    if columns.target_column is not None and columns.target_columns:
        found, fix = "both", "leave data.target_column out"
        raise UserError("data.target_column, data.target_columns", found=found, expected="one of them", fix=fix)
    if columns.missing_targets not in _ON_MISSING:
        expected = f"one of {', '.join(_ON_MISSING)}"
        fix = f"set data.missing_targets={LEAVE_OUT}"
        raise UserError("data.missing_targets", found=str(columns.missing_targets), expected=expected, fix=fix)
    key = "data.target_columns" if columns.target_columns else "data.target_column"
    wanted = columns.target_columns or [str(columns.target_column)]
    names = tuple(find_column(table, name, (), key, origin) for name in wanted)
    problems: dict[int, UserError] = {}
    parts = []
    for name in names:
        numbers, faults = to_numbers(table[name], places, name)
        parts.append(numbers)
        problems = faults | problems
    missing = {}
    if columns.missing_targets == LEAVE_OUT:
        missing = {row: problems.pop(row) for row in list(problems) if _is_blank(table, names, row)}
    if missing and len(missing) == len(places):
        found, fix = f"no number in column '{names[0]}' of {origin}", f"set {key}=<column of numbers>"
        raise UserError(key, found=found, expected="numbers", fix=fix)
    return Targets(np.stack(parts, axis=1) if columns.target_columns else parts[0], names, problems, missing)


def to_numbers(values: Sequence[Any], places: Sequence[object], column: str) -> tuple[np.ndarray, dict[int, UserError]]:
    """[N] float64, nan where a value is no finite number, and what is wrong with such rows."""
    numbers, problems = np.full(len(values), np.nan), {}
    for row, value in enumerate(values):
        with contextlib.suppress(TypeError, ValueError):
            numbers[row] = float(value)
        if not np.isfinite(numbers[row]):
            where, found = f"{places[row]}, column '{column}'", shorten(value)
            fix = "correct it or delete the row"
            if _is_empty(value):
                found = "nothing"
                fix += f", or set data.missing_targets={LEAVE_OUT}"
            problems[row] = UserError(where, found=found, expected="a number", fix=fix)
    return numbers, problems


def to_weights(values: Sequence[Any], places: Sequence[object], column: str) -> tuple[np.ndarray, dict[int, UserError]]:
    """[N] float64, the weights of rows, and what is wrong with those that are no number above 0."""
    numbers, _ = to_numbers(values, places, column)
    problems = {}
    for row in np.flatnonzero(~(numbers > 0)).tolist():
        where, fix = (
            f"{places[row]}, column '{column}'",
            "correct it or delete the row, or leave data.weight_column out",
        )
        problems[row] = UserError(where, found=shorten(values[row]), expected="a number above 0", fix=fix)
    return numbers, problems


def notes_on_targets(splits: Mapping[str, Examples]) -> list[str]:
    """How many rows were left out as they have no number, for each split that lost some."""
    return [
        f"{name}: {examples.num_without_target:,} rows without a number to predict were left out"
        for name, examples in splits.items()
        if examples.num_without_target
    ]


def _is_blank(table: Table, names: Sequence[str], row: int) -> bool:
    """Whether a row has nothing at all in these columns; half of a row is a fault."""
    return all(_is_empty(table[name][row]) for name in names)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value != value  # nan
