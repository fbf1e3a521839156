"""Turn a label column, whatever it is written in, into class indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lit_humor.core.errors import UserError, shorten

DEFAULT_CLASS_NAMES = ("not humor", "humor")

_SPELLINGS = {
    "0": 0, "0.0": 0, "false": 0, "not humor": 0, "not_humor": 0, "non-humor": 0, "not-humor": 0,
    "1": 1, "1.0": 1, "true": 1, "humor": 1,
}  # fmt: skip


def encode_labels(
    values: Sequence[Any], label_names: Sequence[str] | None, places: Sequence[object], column: str
) -> tuple[np.ndarray, dict[int, UserError]]:
    """Map label values to class indices.

    Args:
        values: One value a row: bool, number or text.
        label_names: Class names in class order; None takes 0/1, false/true, "not humor"/"humor".
        places: Where each row stands, for error messages.
        column: Name of the label column, for error messages.

    Returns:
        [N] int64, -1 where the label is missing or none of the expected ones, and what is wrong with these rows.

    Raises:
        UserError: ``label_names`` has fewer than two different names.
    """
    if label_names is not None and len({_spell(name) for name in label_names}) < max(2, len(label_names)):
        raise UserError(
            "data.label_names",
            found=str(list(label_names)),
            expected="two or more different names",
            fix="name every class once, in class order, humor last",
        )
    known = _SPELLINGS if label_names is None else {_spell(n): i for i, n in enumerate(label_names)}
    if label_names is not None and not known.keys() & {_spell(v) for v in values}:
        known = {str(i): i for i in range(len(label_names))}  # the column holds indices of the named classes
    codes = [known.get(_spell(value), -1) for value in values]
    problems = {
        row: _bad_label(values[row], label_names, f"{places[row]}, column '{column}'")
        for row, code in enumerate(codes)
        if code < 0
    }
    return np.asarray(codes, dtype=np.int64), problems


def _bad_label(value: Any, label_names: Sequence[str] | None, where: str) -> UserError:
    missing = _spell(value) == ""
    return UserError(
        where,
        found="no label" if missing else f"label {shorten(value)}",
        expected="0/1, false/true or 'not humor'/'humor'"
        if label_names is None
        else f"one of {list(label_names)} (data.label_names)",
        fix="label the row or delete it"
        if missing
        else "set 'data.label_names=[first,second,...]' to the names in class order, humor last",
    )


def _spell(value: Any) -> str:
    """One spelling for what people mean to be the same label: 1, 1.0, True and ' true ' differ only by type."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().lower()
