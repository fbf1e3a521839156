"""What to type when a label column holds something else than the classes: the cause, told from its values."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

_MOST_CLASSES = 20  # that a message lists
_MOST_GRADES = 5  # numbers that may be classes; more are counts or ratings
_RARE = 20  # in one row of so many or fewer, unknown labels may be mistakes
_ALIKE = 0.75  # from this ratio of difflib on, two labels are spellings of one
_LAST = ("1", "true", "yes", "y", "humor", "humour", "humorous", "funny", "joke", "jokes", "pun", "sarcastic", "ironic")
_NEGATIONS = ("non", "not", "no", "un", "false", "0")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?: [A-Za-z0-9_-]+)*")  # of a dict on the command line
_NO_TEXT = ("null", "true", "false", "inf", "nan")  # which Hydra takes for something else


def tally(unknown: Counter[str], counts: Mapping[str, int]) -> str:
    """The unknown labels with their rows and the known ones that they resemble."""
    known = [one for one in counts if one not in unknown]
    told = []
    for one, rows in unknown.most_common(5):
        like = resembling(one, known)
        told.append(f"'{one[:40]}' in {rows:,} row{'s' * (rows > 1)}" + (f" (like '{like}')" if like else ""))
    rest = len(unknown) - len(told)
    return f", not {', '.join(told)}" + (f" and {rest:,} more" if rest else "")


def remedy(
    unknown: Counter[str],
    counts: Counter[str],
    names: Sequence[str] | None,
    aliases: Mapping[str, Any] | Sequence[str] | None,
) -> str:
    """The setting that makes the unknown labels known, as it is typed.

    Args:
        unknown: Labels that no class has, with their rows.
        counts: All labels, with their rows.
        names: Class names that were set, or None.
        aliases: Aliases that were set, or None.
    """
    rarely = "correct these rows, or " if _RARE * unknown.total() <= counts.total() else ""
    numbers = _numbers(counts)
    if len(numbers) > _MOST_GRADES or not all(number.is_integer() for number in numbers):
        told = f"these are {len(numbers)} different numbers from {numbers[0]:g} to {numbers[-1]:g}, no classes"
        meaning = "rows with this number or a higher one count as humor"
        return f"{told}: {rarely}set data.label_threshold={_middle(numbers, counts):g}, and {meaning}"
    known = [one for one, _ in counts.most_common() if one not in unknown]
    if len(counts) > _MOST_CLASSES and not known:
        return f"set data.label_column=<the column of labels>: this one has {len(counts):,} different values"
    alike = {one: like for one in unknown if (like := resembling(one, known))}
    others = [one for one, _ in unknown.most_common() if one not in alike]
    if alike and (not others or len(counts) > _MOST_CLASSES):
        rest = ", and correct the other labels" if others else ""
        return f"set {_type_aliases(aliases, alike)}{rest}"
    if len(counts) > _MOST_CLASSES:
        return "correct these labels, or leave their rows out: audit.py with fix=<folder>"
    classes: list[str] = []
    for one in others:  # the most frequent first: the rarer spelling is the alias
        if like := resembling(one, [*known, *classes]):
            alike[one] = like
        else:
            classes.append(one)
    # The last of names that are set stays humor.
    wanted = [*names[:-1], *classes, names[-1]] if names and known else _in_order([*known, *classes])
    told = f"set {_type_names(wanted)}{f' {_type_aliases(aliases, alike)}' if alike else ''} (class order, humor last)"
    if len(numbers) > 2:
        told += f", or data.label_threshold={_middle(numbers, counts):g} for two classes"
    return rarely + told


def resembling(label: str, known: Iterable[str]) -> str | None:
    """The known label that another one is a spelling of: equal but for marks and case, or nearly so.

    A negation is no spelling: ``unfunny`` does not resemble ``funny``.
    """
    best, best_ratio = None, _ALIKE
    for one in known:
        first, second = _squash(label), _squash(one)
        same_digits = re.findall(r"\d", first) == re.findall(r"\d", second)
        if not first or not second or first[0] != second[0] or not same_digits or first.isdigit():
            continue
        ratio = difflib.SequenceMatcher(None, first, second).ratio()
        if ratio > best_ratio:
            best, best_ratio = one, ratio
    return best


def _squash(label: str) -> str:
    return re.sub(r"[\W_]+", "", label.casefold())


def _numbers(counts: Iterable[str]) -> list[float]:
    """The labels as different numbers, sorted; nothing where one of them is none."""
    found = set()
    for one in counts:
        number = math.nan
        with suppress(ValueError):
            number = float(one)
        if not math.isfinite(number):
            return []
        found.add(number)
    return sorted(found)


def _middle(numbers: Sequence[float], counts: Mapping[str, int]) -> float:
    """A number that half of the rows or more reach, above the smallest one."""
    rows = sorted(number for one, count in counts.items() for number in [float(one)] * count)
    return max(rows[len(rows) // 2], numbers[1])


def _in_order(labels: Sequence[str]) -> list[str]:
    """Numbers by size; else what sounds like a negation first and what sounds like humor last."""
    if _numbers(labels):
        return sorted(labels, key=float)

    def rank(label: str) -> tuple[int, str]:
        squashed = _squash(label)
        return (2 if squashed in _LAST else 0 if squashed.startswith(_NEGATIONS) else 1), label

    return sorted(labels, key=rank)


def _type_names(names: Sequence[str]) -> str:
    return shlex.quote(f"data.label_names=[{','.join(map(_type_value, names))}]")


def _type_aliases(before: Mapping[str, Any] | Sequence[str] | None, found: Mapping[str, str]) -> str:
    """``data.label_aliases`` as it is typed, with those set before; a list where Hydra's grammar has no such keys."""
    pairs = dict(before if isinstance(before, Mapping) else [read_pair(one) for one in before or ()]) | dict(found)
    if all(_KEY.fullmatch(str(key)) and str(key).lower() not in _NO_TEXT for key in pairs):
        inside = ", ".join(f"{key}: {_type_value(str(value))}" for key, value in pairs.items())
        return shlex.quote(f"data.label_aliases={{{inside}}}")
    listed = ",".join(_type_value(f"{key}: {value}") for key, value in pairs.items())
    return shlex.quote(f"data.label_aliases=[{listed}]")


def read_pair(alias: str, known: Collection[str] = ()) -> tuple[str, str]:
    """An alias of the form ``found: known``; of several colons the one before a known name counts."""
    parts = alias.split(":")
    pairs = [(":".join(parts[:at]).strip(), ":".join(parts[at:]).strip()) for at in range(len(parts) - 1, 0, -1)]
    return next((pair for pair in pairs if pair[1].lower() in known), (pairs or [(alias, "")])[0])


def _type_value(value: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value) and value.lower() not in _NO_TEXT:
        return value
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    return f'"{escaped}"'
