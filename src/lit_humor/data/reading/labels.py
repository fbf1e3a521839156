"""Converts the labels of files to class indices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_humor.core.errors import UserError, list_names, shorten
from lit_humor.data.reading.label_remedies import describe_unknown, exact, median, remedy
from lit_humor.data.reading.spellings import canonical, read_number, read_pair

DEFAULT_CLASS_NAMES = ("not humor", "humor")

_SPELLINGS = {
    "0": 0, "false": 0, "not humor": 0, "not_humor": 0, "non-humor": 0, "not-humor": 0,
    "1": 1, "true": 1, "humor": 1,
}  # fmt: skip


class UnknownLabelError(UserError):
    """A label that belongs to no class; often a setting is wrong, not the row."""


@dataclass(frozen=True)
class Threshold:
    """A threshold of labels that are numbers, and the numbers that it divides.

    Attributes:
        value: The threshold.
        least: Smallest label of the file.
        most: Largest label of the file.
        usual: The threshold to set where this one leaves a class without rows.
    """

    value: float
    least: float
    most: float
    usual: float

    def describe(self) -> str:
        """What it should be."""
        if self.least == self.most:
            return f"labels of more than one value; all of them are {exact(self.least)}"
        least, most = exact(self.least), exact(self.most)
        return f"more than {least}, at most {most}, as the labels of the file are numbers from {least} to {most}"


@dataclass(frozen=True)
class LabelRules:
    """How labels are read; see ``columns.Columns``.

    Attributes:
        names: Class names in class order; None takes 0/1, false/true, "not humor"/"humor".
        aliases: Other spellings, ``{found: known}``, or a list of ``"found: known"``.
        threshold: Labels are numbers; a number at or above the threshold is the second of two classes.
    """

    names: Sequence[str] | None = None
    aliases: Mapping[str, Any] | Sequence[str] | None = None
    threshold: float | None = None


def encode_labels(
    values: Sequence[Any], rules: LabelRules, places: Sequence[object], column: str
) -> tuple[np.ndarray, dict[int, UserError]]:
    """Map label values to class indices.

    Args:
        values: [N] label values: bool, number or text.
        rules: The known labels.
        places: [N] places of the rows, for error messages.
        column: Name of the label column, for error messages.

    Returns:
        [N] int64 class indices, -1 for a missing or unknown label, and the errors of these rows, ``{row: error}``.

    Raises:
        UserError: ``names`` has fewer than two different names, an alias stands for an unknown name, or a threshold is
            set and is no finite number, or there are not exactly two names.
    """
    names = _names_of(rules)
    if names is not None and len({canonical(name) for name in names}) < max(2, len(names)):
        raise UserError(
            "data.label_names",
            found=list_names(names),
            expected="two or more different names",
            fix="name every class once, in class order, humor last",
        )
    if rules.threshold is not None:
        codes = _codes_by_threshold(values, read_threshold(values, rules), names)
        expected, fix = "a number (data.label_threshold is set)", "correct it or delete the row"
    else:
        known, canonical_labels = _resolved(values, rules)
        has_indices = names is not None and not known.keys() & set(canonical_labels)
        if names is not None and has_indices:
            known = {str(index): index for index in range(len(names))}  # the column has class indices
        codes = [known.get(label, -1) for label in canonical_labels]
        fix = ""
        expected = (
            f"one of [{list_names(map(repr, names))}] (data.label_names)"
            if names
            else "0/1, false/true or 'not humor'/'humor'"
        )
        counts = Counter(str(value).strip() for value, label in zip(values, canonical_labels, strict=True) if label)
        unknown = Counter(
            str(values[row]).strip() for row, code in enumerate(codes) if code < 0 and canonical_labels[row]
        )
        if unknown:
            expected += describe_unknown(unknown, counts)
            fix = remedy(unknown, counts, None if has_indices else names, rules.aliases, known, column)
    problems = {}
    for row, code in enumerate(codes):
        if code < 0:
            place = f"{places[row]}, column '{column}'"
            if canonical(values[row]) == "":
                problems[row] = no_label(place)
            else:
                problems[row] = UnknownLabelError(
                    place, found=f"label {shorten(values[row])}", expected=expected, fix=fix
                )
    return np.asarray(codes, dtype=np.int64), problems


def are_positions(values: Sequence[Any], rules: LabelRules) -> bool:
    """Whether labels are numbers that are read as positions of named classes: the column has none of the names."""
    if rules.names is None or rules.threshold is not None:
        return False
    known, labels = _resolved(values, rules)
    return not known.keys() & set(labels) and not {str(index) for index in range(len(known))}.isdisjoint(labels)


def read_threshold(values: Sequence[Any], rules: LabelRules) -> Threshold | None:
    """Return the threshold with the range of the labels, or None if there is none, or no label is a number.

    Raises:
        UserError: The threshold is no finite number.
    """
    if rules.threshold is None:
        return None
    numbers = Counter(number for value in values if (number := read_number(value)) is not None)
    usual = median(numbers) if numbers else 1.0
    value = None if isinstance(rules.threshold, bool) else read_number(rules.threshold)
    if value is None:
        found, fix = shorten(rules.threshold), f"set data.label_threshold={exact(usual)}"
        raise UserError("data.label_threshold", found=found, expected="a finite number", fix=fix)
    return Threshold(value, min(numbers, default=value), max(numbers, default=value), usual)


def _names_of(rules: LabelRules) -> list[str] | None:
    return None if rules.names is None else [str(name) for name in rules.names]


def _resolved(values: Sequence[Any], rules: LabelRules) -> tuple[dict[str, int], list[str]]:
    """Return the known labels with their class indices, and the labels with aliases replaced; all canonical."""
    names = _names_of(rules)
    known = _SPELLINGS if names is None else {canonical(name): index for index, name in enumerate(names)}
    aliases = _read_aliases(rules.aliases, known)
    return known, [aliases.get(label, label) for label in map(canonical, values)]


def no_label(place: str) -> UserError:
    """The error for a row without a label."""
    fix = "label the row or delete it; audit.py lists all such rows and fix=<folder> leaves them out"
    return UserError(place, found="no label", expected="one", fix=fix)


def _codes_by_threshold(values: Sequence[Any], threshold: Threshold | None, names: Sequence[str] | None) -> list[int]:
    if names is not None and len(names) != 2:
        expected, fix = "two names with data.label_threshold", "leave data.label_names out, or name two classes"
        raise UserError("data.label_names", found=str(list(names)), expected=expected, fix=fix)
    numbers = [read_number(value) for value in values]
    return [-1 if number is None else int(threshold is not None and number >= threshold.value) for number in numbers]


def _read_aliases(aliases: Mapping[str, Any] | Sequence[str] | None, known: Mapping[str, int]) -> dict[str, str]:
    """Return ``{alias: known label}``, both in canonical spelling."""
    pairs = aliases.items() if isinstance(aliases, Mapping) else [read_pair(alias, known) for alias in aliases or ()]
    known_by_alias = {canonical(alias): canonical(name) for alias, name in pairs}
    unknown = next((name for name in known_by_alias.values() if name not in known), None)
    if unknown is not None:
        raise UserError(
            "data.label_aliases",
            found=f"an alias of {shorten(unknown, 40)}",
            expected=f"aliases of {list_names(known)}",
            fix="set 'data.label_aliases={<found>: <known>}', and the known names in data.label_names",
        )
    return known_by_alias
