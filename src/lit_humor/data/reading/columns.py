"""Finds the columns of a table: text, label, second text, group, difficulty, answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from lit_humor.core.errors import UserError, list_names
from lit_humor.core.settings import is_null, typed
from lit_humor.data.reading.headers import refuse_file_without_header
from lit_humor.data.reading.json_forms import refuse_json_without_rows
from lit_humor.data.reading.tables import FILE, LINE

TEXT_COLUMNS = ("text", "transcript")
LABEL_COLUMNS = ("is_humor", "label")
_MAX_SUGGESTION = 200  # characters of a name that is suggested; a longer one is a text


@dataclass(kw_only=True)
class Columns:
    """Names of the columns and rules for labels; a source with selectable columns inherits from this class.

    A column matches by its exact name, else by a name that differs only in case and blanks.

    Attributes:
        text_column: Column of the text; None looks for ``text``, then ``transcript``.
        label_column: Column of the label; None looks for ``is_humor``, then ``label``.
        text_pair_column: Column of a second text (a context); the model reads both as a pair.
        group_column: Rows with the same value in this column stay in one split.
        label_names: Class names in class order, the humorous one last; None takes 0/1 and its spellings.
        label_aliases: Other spellings of labels, ``{found: known}``, or a list of ``"found: known"``.
        label_threshold: Labels are numbers; a number at or above the threshold is the second of two classes.
        target_column: Column of numbers to predict, in place of a label; rows have no classes then.
        target_columns: Several of them, to predict together.
        missing_targets: ``error`` refuses rows without a number to predict, ``leave_out`` leaves them out.
        difficulty_column: Column of numbers, higher for harder rows; see ``data.difficulty``.
        weight_column: Column of numbers above 0, which the losses of training rows are multiplied by.
        answer_column: Column of the text that is to be written or found; rows then need no label, and have classes only
            where ``label_column`` is set, too.
        negative_column: Column of a text that is not the row's answer, or of a list of such texts; a blank one is none.
        instruction_column: Column of what is to be done with the text; it may be blank.
    """

    text_column: str | None = None
    label_column: str | None = None
    text_pair_column: str | None = None
    group_column: str | None = None
    label_names: list[str] | None = None
    label_aliases: dict[str, Any] | list[str] | None = None
    label_threshold: float | None = None
    target_column: str | None = None
    target_columns: list[str] | None = None
    missing_targets: str = "error"
    difficulty_column: str | None = None
    weight_column: str | None = None
    answer_column: str | None = None
    negative_column: str | None = None
    instruction_column: str | None = None

    def of_table(self, names: Collection[str]) -> Self:
        """Return a copy in which a column set to ``null`` is None, unless the table has a column of that name."""
        columns = copy(self)
        for key in (column.name for column in fields(Columns) if column.name.endswith("_column")):
            setattr(columns, key, unless_null(getattr(self, key), names))
        return columns


def unless_null(name: str | None, names: Collection[str]) -> str | None:
    """Return a column's name, or None if it is ``null`` and no column has that name."""
    return None if name is not None and is_null(name) and name not in names else name


def find_column(
    names: Iterable[str],
    wanted: str | None,
    candidates: Sequence[str],
    key: str | None,
    origin: str,
    is_path: bool = True,
) -> str:
    """Return the wanted column, or the first candidate that exists.

    Args:
        names: Names of the columns, or the whole table: its values allow a better suggestion.
        wanted: The name that the user set, or None.
        candidates: Usual names, best first.
        key: The setting that names the column; None if there is none.
        origin: File or data set, for messages.
        is_path: Whether ``origin`` may be opened as a file to check its header; False if a client named it.

    Raises:
        UserError: No column matches; says how to set ``key``, or how to rename the column if there is no key.
    """
    present = [name for name in names if name not in (LINE, FILE)]
    searched_names = (wanted,) if wanted is not None else tuple(candidates)
    match = match_column(present, searched_names)
    if match is not None:
        return match
    is_label = searched_names == LABEL_COLUMNS or (key or "").endswith("label_column")
    names_to_add = (TEXT_COLUMNS[0], searched_names[0]) if is_label else (searched_names[0], LABEL_COLUMNS[1])
    if is_path:
        refuse_file_without_header(Path(origin), *names_to_add)
        if not is_label:
            refuse_json_without_rows(Path(origin), *names_to_add, key)
    suggestion = _likely_column(names, present, is_label) if isinstance(names, Mapping) else None
    if suggestion is not None and len(suggestion) > _MAX_SUGGESTION:
        suggestion = None
    raise UserError(
        origin,
        found=f"columns [{list_names(map(repr, present))}]",
        expected=f"a column '{wanted}' ({key})" if wanted else f"a column {' or '.join(candidates)}",
        fix=_column_remedy(key, suggestion) if key else f"rename the column to {candidates[0]}",
    )


def _column_remedy(key: str, suggestion: str | None) -> str:
    """Return the setting that names another column; rows without a column of groups are rows of their own."""
    if key.endswith("group_column"):
        return f"set {key}=null (every row is of its own), or set {key}=<one of the columns>"
    return f"set {typed(key, suggestion)}" if suggestion else f"set {key}=<one of the columns>"


def no_pairs(key: str, column: str) -> UserError:
    """The error for second texts that are given to a model trained without them."""
    problem = f"the column '{column}' of second texts, for a run that was trained without them"
    fix = f"leave {key} out, or train with {typed('data.text_pair_column', column)}"
    return UserError(key, found=problem, expected="none", fix=fix)


def match_column(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Return the first wanted column that exists, spelled as in the table, or None.

    An exact match comes first; then the only name that differs just in case, blanks or quotes.
    """
    exact = next((name for name in wanted if name in names), None)
    if exact is not None:
        return exact
    for name in wanted:
        matches = [present_name for present_name in names if _normalized_name(present_name) == _normalized_name(name)]
        if len(matches) == 1:
            return matches[0]
    return None


def _normalized_name(name: str) -> str:
    return re.sub(r"[\s_]+", "_", str(name).replace("\ufeff", "").strip(" \t\r\n\"'").casefold())


def _likely_column(table: Mapping[str, Sequence[Any]], names: Sequence[str], is_label: bool) -> str | None:
    """Return the most likely column: the one with the longest texts, or the one with fewest (2 to 20) labels."""
    if is_label:
        counts = {name: len(set(map(str, table[name]))) for name in names}
        label_like = [name for name in names if 2 <= counts[name] <= 20]
        return min(label_like, key=lambda name: counts[name], default=None)
    lengths = {name: sum(len(value) for value in table[name] if isinstance(value, str)) for name in names}
    return max((name for name in names if lengths[name]), key=lambda name: lengths[name], default=None)
