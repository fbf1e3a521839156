"""Which column of a table means what."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from lit_humor.core.errors import UserError
from lit_humor.core.settings import is_null, typed
from lit_humor.data.reading.headers import refuse_file_without_header
from lit_humor.data.reading.tables import FILE, LINE

TEXT_COLUMNS = ("text", "transcript")
LABEL_COLUMNS = ("is_humor", "label")


@dataclass(kw_only=True)
class Columns:
    """Which columns of a table mean what; a source that lets its user choose is one of these.

    A column is found by its name as it is written, or else by one that differs only in case and blanks.

    Attributes:
        text_column: Column of the text; None looks for ``text``, then ``transcript``.
        label_column: Column of the label; None looks for ``is_humor``, then ``label``.
        text_pair_column: Column of a second text (a context); the model reads both as a pair.
        group_column: Rows with the same value here stay in one split.
        label_names: Class names in class order, the humorous one last; None takes 0/1 and its spellings.
        label_aliases: Other spellings of labels, ``{found: known}``, or a list of ``"found: known"``.
        label_threshold: Labels are numbers; one of this size or more is the last of two classes.
        difficulty_column: Column of numbers, higher for harder rows; see ``data.difficulty``.
    """

    text_column: str | None = None
    label_column: str | None = None
    text_pair_column: str | None = None
    group_column: str | None = None
    label_names: list[str] | None = None
    label_aliases: dict[str, Any] | list[str] | None = None
    label_threshold: float | None = None
    difficulty_column: str | None = None

    def of_table(self, names: Collection[str]) -> Self:
        """The same, without columns that were set to ``null`` where no column of the table is called so."""
        chosen = copy(self)
        for key in (one.name for one in fields(Columns) if one.name.endswith("_column")):
            setattr(chosen, key, unless_null(getattr(self, key), names))
        return chosen


def unless_null(name: str | None, names: Collection[str]) -> str | None:
    """A column's name as it was typed; None where that was ``null`` and no column is called so."""
    return None if name is not None and is_null(name) and name not in names else name


def find_column(
    names: Iterable[str],
    wanted: str | None,
    candidates: Sequence[str],
    key: str | None,
    origin: str,
    is_path: bool = True,
) -> str:
    """The column that is wanted, or the first of the candidates that is there.

    Args:
        names: The columns that there are; a table tells better what to set.
        wanted: The name that the user set, or None.
        candidates: Usual names, the best first.
        key: The setting of that name; None where there is none.
        origin: File or data set, for messages.
        is_path: Whether ``origin`` may be looked at for a header, where it is a file; never if somebody else named it.

    Raises:
        UserError: There is none; names ``key`` as what to set, or says what to call it where there is no key.
    """
    there = [name for name in names if name not in (LINE, FILE)]
    searched = (wanted,) if wanted is not None else tuple(candidates)
    found = match_column(there, searched)
    if found is not None:
        return found
    is_label = searched == LABEL_COLUMNS or (key or "").endswith("label_column")
    names_to_add = (TEXT_COLUMNS[0], searched[0]) if is_label else (searched[0], LABEL_COLUMNS[1])
    if is_path:
        refuse_file_without_header(Path(origin), *names_to_add)
    best = _guess(names, there, is_label) if isinstance(names, Mapping) else None
    raise UserError(
        origin,
        found=f"columns {there}",
        expected=f"a column '{wanted}' ({key})" if wanted else f"a column {' or '.join(candidates)}",
        fix=(f"set {typed(key, best)}" if best else f"set {key}=<one of the columns>")
        if key
        else f"rename the column to {candidates[0]}",
    )


def no_pairs(key: str, column: str) -> UserError:
    """The error for a second text that is to be given to a model that never saw one."""
    found = f"the column '{column}' of second texts, for a run that was trained without them"
    fix = f"leave {key} out, or train with {typed('data.text_pair_column', column)}"
    return UserError(key, found=found, expected="none", fix=fix)


def match_column(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first of the wanted columns that is there, as it is written there.

    One of exactly that name comes first, then the only one that differs in case, blanks or quotes alone.
    """
    exact = next((name for name in wanted if name in names), None)
    if exact is not None:
        return exact
    for one in wanted:
        alike = [name for name in names if _plain(name) == _plain(one)]
        if len(alike) == 1:
            return alike[0]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "_", str(name).replace("\ufeff", "").strip(" \t\r\n\"'").casefold())


def _guess(table: Mapping[str, Sequence[Any]], names: Sequence[str], is_label: bool) -> str | None:
    """The column that is most likely meant: that of the longest texts, or of two or few different values."""
    if is_label:
        counts = {name: len(set(map(str, table[name]))) for name in names}
        few = [name for name in names if 2 <= counts[name] <= 20]
        return min(few, key=lambda name: counts[name], default=None)
    lengths = {name: sum(len(value) for value in table[name] if isinstance(value, str)) for name in names}
    return max((name for name in names if lengths[name]), key=lambda name: lengths[name], default=None)
