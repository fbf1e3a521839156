"""Checks the texts of a column."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lit_humor.core.errors import UserError, shorten

_SURROGATE = re.compile("[\ud800-\udfff]")  # half of a surrogate pair, which UTF-8 cannot write


def check_texts(
    values: list, places: Sequence[object], column: str, blank_is_fine: bool = False
) -> dict[int, UserError]:
    """Return the errors of the texts of a column, by row; ``places`` are used in their messages."""
    problems = {}
    for row, value in enumerate(values):
        if not isinstance(value, str) or not (value.strip() or blank_is_fine):
            problems[row] = UserError(
                f"{places[row]}, column '{column}'",
                found="an empty or blank text" if value in (None, "") or isinstance(value, str) else shorten(value),
                expected="a text",
                fix=f"{_text_remedy(value)} or delete the row; "
                "audit.py lists all such rows and fix=<folder> leaves them out",
            )
        elif _SURROGATE.search(value):
            problems[row] = UserError(
                f"{places[row]}, column '{column}'",
                found=f"half of a surrogate pair in {shorten(value)}",
                expected="text that UTF-8 can write",
                fix="correct the character or delete the row",
            )
    return problems


def _text_remedy(value: object) -> str:
    if value is None or isinstance(value, str):
        return "fill in the text"
    return "replace it by one text" if isinstance(value, list | dict | tuple) else "write it as a text, in quotes,"
