"""Finds the remedy for a label column with unknown labels: infers the cause from the values of the column."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lit_humor.core.settings import item, typed
from lit_humor.data.reading.spellings import bare_label, canonical, is_same, nearest_label, read_number, read_pair

_MAX_CLASSES = 20  # most classes that a message lists
_MAX_GRADES = 5  # most numbers that may be classes; more are counts or ratings
_MIN_NUMBERS_SHARE = 0.95  # of the rows; then the other labels are mistakes
_RARE = 20  # unknown labels in at most 1 of so many rows may be mistakes
_HUMOR = (
    "1",
    "true",
    "yes",
    "y",
    "humor",
    "humour",
    "humorous",
    "funny",
    "joke",
    "jokes",
    "pun",
    "sarcastic",
    "ironic",
)
_NEGATIONS = ("non", "not", "no", "un", "false", "0")
_YES_NO = {"yes": 1, "y": 1, "t": 1, "true": 1, "no": 0, "n": 0, "f": 0, "false": 0}
_MISSING = ("", "na", "nan", "null", "missing")  # no class if the column has others
_OTHER_COLUMN = "set data.label_column=<the column of labels>"

Aliases = Mapping[str, Any] | Sequence[str] | None


def describe_unknown(unknown: Counter[str], counts: Mapping[str, int]) -> str:
    """Return a phrase with the most frequent unknown labels, their rows and similar known labels."""
    known = [label for label in counts if label not in unknown]
    parts = []
    for label, rows in unknown.most_common(5):
        similar = nearest_label(label, known)
        parts.append(f"'{label[:40]}' in {rows:,} row{'s' * (rows > 1)}" + (f" (like '{similar}')" if similar else ""))
    rest = len(unknown) - len(parts)
    return f", not {', '.join(parts)}" + (f" and {rest:,} more" if rest else "")


def remedy(
    unknown: Counter[str],
    counts: Counter[str],
    names: Sequence[str] | None,
    aliases: Aliases,
    known: Mapping[str, int],
    column: str,
) -> str:
    """Return the setting that makes the unknown labels known, as the user types it.

    Args:
        unknown: Labels that belong to no class, with their numbers of rows.
        counts: All labels, with their numbers of rows.
        names: Class names that were set, or None; None, too, if the column has class indices in place of names.
        aliases: Aliases that were set, or None.
        known: ``{canonical label: class index}`` of the labels that are known without aliases.
        column: Name of the column.
    """
    correct_rows = "correct these rows, or " if _RARE * unknown.total() <= counts.total() else ""
    numbers = _count_numbers(counts)
    if numbers.total() < _MIN_NUMBERS_SHARE * counts.total():
        numbers.clear()
    has_units = any(not label[-1:].isdigit() or "/" in label for label in counts if read_number(label) is not None)
    has_units |= any("out of" in label.lower() for label in counts)
    is_grades = len(numbers) <= _MAX_GRADES and all(number.is_integer() for number in numbers) and not has_units
    if numbers and not (is_grades and (len(counts) > 1 or len(numbers) > 1)):
        invalid = [label for label in unknown if read_number(label) is None]
        return _threshold_remedy(correct_rows, numbers, invalid, column)
    known_labels = [label for label, _ in counts.most_common() if label not in unknown]
    if len(counts) > _MAX_CLASSES and not known_labels:
        return f"{_OTHER_COLUMN}: this one has {len(counts):,} different values"
    candidates = names if names and known_labels else [label for label in known_labels if canonical(label) in known]
    respelled = {label: similar for label in unknown if (similar := _known_spelling(label, candidates, known))}
    others = [label for label, _ in unknown.most_common() if label not in respelled]
    invalid = _invalid_labels(others, counts, bool(numbers))
    others = [label for label in others if label not in invalid]
    rest = f", and correct or delete the rows with {_quoted_list(invalid)}" if invalid else ""
    if not respelled and not others:
        return f"correct or delete the rows with {_quoted_list(invalid)}"
    if respelled and (not others or len(counts) > _MAX_CLASSES):
        rest = ", and correct the other labels" if others else rest
        return f"set {_type_aliases(_alias_pairs(aliases, known) | respelled)}{rest}"
    if len(counts) > _MAX_CLASSES:
        return "correct these labels, or leave their rows out: audit.py with fix=<folder>"
    fix = _names_remedy(others, known_labels, respelled, names, aliases, known)
    if not fix:
        return f"{_OTHER_COLUMN}: all rows of this one have the label {_quoted_list(others[:1])}"
    if len(numbers) > 2:
        fix += f", or set data.label_threshold={exact(median(numbers))} for two classes"
    return f"{correct_rows}{fix}{rest}"


def _threshold_remedy(correct_rows: str, numbers: Counter[float], invalid: Sequence[str], column: str) -> str:
    """Return the remedy for ratings, counts, or a single number."""
    threshold = exact(median(numbers))
    fix = f"set data.label_threshold={threshold}, and rows with this number or a higher one count as humor"
    rest = f", and correct or delete the rows with {_quoted_list(invalid)}" if invalid else ""
    if len(numbers) == 1:
        return f"all rows have the same number, {exact(next(iter(numbers)))}: {fix}{rest}, or {_OTHER_COLUMN}"
    limits = f"from {exact(min(numbers))} to {exact(max(numbers))}"
    predict = f", or set task=regression {typed('data.target_column', column)} to predict the numbers"
    return (
        f"these are {len(numbers)} different numbers {limits}, no classes: "
        f"{'' if invalid else correct_rows}{fix}{rest}{'' if invalid else predict}"
    )


def _known_spelling(label: str, candidates: Sequence[str], known: Mapping[str, int]) -> str | None:
    """Return the known label that ``label`` is a spelling of, or None; yes and no are spellings of 1 and 0."""
    zero_or_one = {"0", "1", "true", "false"}.intersection(map(canonical, candidates))
    if "humor" in known and zero_or_one and bare_label(label) in _YES_NO:
        return str(_YES_NO[bare_label(label)])
    return nearest_label(label, candidates)


def _invalid_labels(others: Sequence[str], counts: Counter[str], is_numeric: bool) -> list[str]:
    """Return placeholders of missing labels, or words among numbers; none if fewer than two labels would be left."""
    if is_numeric:
        return [label for label in others if read_number(label) is None]
    invalid = [label for label in others if bare_label(label).strip("-?") in _MISSING]
    return invalid if len({canonical(label) for label in counts if label not in invalid}) >= 2 else []


def _names_remedy(
    others: Sequence[str],
    known_labels: Sequence[str],
    respelled: dict[str, str],
    names: Sequence[str] | None,
    aliases: Aliases,
    known: Mapping[str, int],
) -> str:
    """Return the remedy that makes the labels classes; an empty text if there would be one class only."""
    old_aliases = _alias_pairs(aliases, known)
    new_aliases = dict(old_aliases)
    if names and known_labels:
        known_names = dict(enumerate(names))
    else:  # one name for each class that is known without a setting
        resolved = {canonical(label): name for label, name in old_aliases.items()}
        known_names = {}
        for label in sorted(known_labels, key=lambda label: canonical(label) not in known):
            name = label if canonical(label) in known else resolved[canonical(label)]
            first = known_names.setdefault(known[canonical(name)], name)
            if canonical(label) in known and canonical(label) != canonical(first):
                new_aliases[label] = first
        new_aliases = {
            label: known_names[known[canonical(name)]]
            for label, name in new_aliases.items()
            if known.get(canonical(name)) in known_names
        }
    classes: list[str] = []
    for label in others:  # most frequent first: the rarer spelling becomes the alias
        class_name = next((n for n in classes if _is_same_class(label, n, others)), None)
        if class_name is None:
            classes.append(label)
        elif canonical(label) != canonical(class_name):
            new_aliases[label] = class_name
    for label, similar in respelled.items():
        new_aliases[label] = known_names.setdefault(known[canonical(similar)], similar)
    # The last name stays "humor" if the user set the names.
    class_names = (
        [*names[:-1], *classes, names[-1]]
        if names and known_labels
        else _in_class_order([*known_names.values(), *classes])
    )
    if len(class_names) < 2:
        return ""
    aliases_setting = f" {_type_aliases(new_aliases)}" if new_aliases != old_aliases else ""
    return f"set {typed('data.label_names', class_names)}{aliases_setting} (class order, humor last)"


def _is_same_class(label: str, other: str, labels: Sequence[str]) -> bool:
    """Whether two labels are one class; y is yes, and n is no, if all labels are of this kind."""
    if canonical(label) == canonical(other) or is_same(label, other):
        return True
    values = [_YES_NO.get(bare_label(name)) for name in (label, other)]
    return None not in values and values[0] == values[1] and all(bare_label(name) in _YES_NO for name in labels)


def _count_numbers(counts: Mapping[str, int]) -> Counter[float]:
    """Return ``{number: rows}`` of the labels that are numbers."""
    rows_by_number = Counter[float]()
    for label, rows in counts.items():
        if (number := read_number(label)) is not None:
            rows_by_number[number] += rows
    return rows_by_number


def median(numbers: Counter[float]) -> float:
    """Return the (upper) median of the rows, or the second smallest number if that is larger."""
    distinct = sorted(numbers)
    rows = sorted(numbers.elements())
    return max(rows[len(rows) // 2], distinct[min(1, len(distinct) - 1)])


def exact(number: float) -> str:
    """Return the shortest text that represents exactly this number."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _quoted_list(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 5:,} more" if len(labels) > 5 else ""
    return ", ".join(f"'{label[:40]}'" for label in labels[:5]) + more


def _in_class_order(labels: Sequence[str]) -> list[str]:
    """Sort labels into class order: numbers by size; else negations first, and words for humor last."""
    numbers = {label: read_number(label) for label in labels}
    if None not in numbers.values():
        return sorted(labels, key=lambda label: numbers[label] or 0)

    def rank(label: str) -> tuple[int, str]:
        bare = bare_label(label)
        return (2 if bare in _HUMOR else 0 if bare.startswith(_NEGATIONS) else 1), label

    return sorted(labels, key=rank)


def _alias_pairs(aliases: Aliases, known: Mapping[str, int]) -> dict[str, str]:
    pairs = aliases.items() if isinstance(aliases, Mapping) else [read_pair(alias, known) for alias in aliases or ()]
    return {str(label): str(name) for label, name in pairs}


def _type_aliases(pairs: Mapping[str, str]) -> str:
    """Return the setting ``data.label_aliases`` as typed; a list if Hydra's grammar does not allow such keys."""
    if not pairs:
        return typed("data.label_aliases", None)
    if all(item(word) == word for key in pairs for word in key.split(" ")):
        inside = ", ".join(f"{key}: {item(value)}" for key, value in pairs.items())
        return shlex.quote(f"data.label_aliases={{{inside}}}")
    return typed("data.label_aliases", [f"{key}: {value}" for key, value in pairs.items()])
