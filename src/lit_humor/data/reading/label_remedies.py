"""What to type when a label column holds something else than the classes: the cause, told from its values."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lit_humor.core.settings import item, typed
from lit_humor.data.reading.spellings import is_same, read_number, read_pair, resembling, spell, squash

_MOST_CLASSES = 20  # that a message lists
_MOST_GRADES = 5  # numbers that may be classes; more are counts or ratings
_NUMBERS_SHARE = 0.95  # of the rows, from which on the others are mistakes
_RARE = 20  # in one row of so many or fewer, unknown labels may be mistakes
_LAST = ("1", "true", "yes", "y", "humor", "humour", "humorous", "funny", "joke", "jokes", "pun", "sarcastic", "ironic")
_NEGATIONS = ("non", "not", "no", "un", "false", "0")
_YES_NO = {"yes": 1, "y": 1, "t": 1, "no": 0, "n": 0, "f": 0}  # beside 0 and 1
_MISSING = ("", "na", "nan", "null", "missing")  # no class where there are others
_OTHER_COLUMN = "set data.label_column=<the column of labels>"

Aliases = Mapping[str, Any] | Sequence[str] | None


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
    unknown: Counter[str], counts: Counter[str], names: Sequence[str] | None, aliases: Aliases, known: Mapping[str, int]
) -> str:
    """The setting that makes the unknown labels known, as it is typed.

    Args:
        unknown: Labels that no class has, with their rows.
        counts: All labels, with their rows.
        names: Class names that were set, or None; None too where the column holds no name, but indices of them.
        aliases: Aliases that were set, or None.
        known: Classes by the spelled labels that are read without aliases.
    """
    rarely = "correct these rows, or " if _RARE * unknown.total() <= counts.total() else ""
    numbers = _numbers(counts)
    if numbers.total() < _NUMBERS_SHARE * counts.total():
        numbers.clear()
    is_grades = len(numbers) <= _MOST_GRADES and all(number.is_integer() for number in numbers)
    if numbers and not (is_grades and (len(counts) > 1 or len(numbers) > 1)):
        return _split(rarely, numbers, [one for one in unknown if read_number(one) is None])
    there = [one for one, _ in counts.most_common() if one not in unknown]
    if len(counts) > _MOST_CLASSES and not there:
        return f"{_OTHER_COLUMN}: this one has {len(counts):,} different values"
    candidates = names if names and there else [one for one in there if spell(one) in known]
    alike = {one: like for one in unknown if (like := _known_spelling(one, candidates, known))}
    others = [one for one, _ in unknown.most_common() if one not in alike]
    wrong = _no_classes(others, counts, bool(numbers))
    others = [one for one in others if one not in wrong]
    rest = f", and correct or delete the rows with {_listed(wrong)}" if wrong else ""
    if not alike and not others:
        return f"correct or delete the rows with {_listed(wrong)}"
    if alike and (not others or len(counts) > _MOST_CLASSES):
        rest = ", and correct the other labels" if others else rest
        return f"set {_type_aliases(_pairs(aliases, known) | alike)}{rest}"
    if len(counts) > _MOST_CLASSES:
        return "correct these labels, or leave their rows out: audit.py with fix=<folder>"
    told = _set_classes(others, there, alike, names, aliases, known)
    if not told:
        return f"{_OTHER_COLUMN}: all rows of this one have the label {_listed(others[:1])}"
    if len(numbers) > 2:
        told += f", or set data.label_threshold={_exact(_middle(numbers))} for two classes"
    return f"{rarely}{told}{rest}"


def _split(rarely: str, numbers: Counter[float], wrong: Sequence[str]) -> str:
    """The remedy for ratings, counts, or one number alone."""
    fix = (
        f"set data.label_threshold={_exact(_middle(numbers))}, and rows with this number or a higher one count as humor"
    )
    rest = f", and correct or delete the rows with {_listed(wrong)}" if wrong else ""
    if len(numbers) == 1:
        return f"all rows have the same number, {_exact(next(iter(numbers)))}: {fix}{rest}, or {_OTHER_COLUMN}"
    ends = f"from {_exact(min(numbers))} to {_exact(max(numbers))}"
    return f"these are {len(numbers)} different numbers {ends}, no classes: {'' if wrong else rarely}{fix}{rest}"


def _known_spelling(label: str, candidates: Sequence[str], known: Mapping[str, int]) -> str | None:
    """What an unknown label is another spelling of; beside 0 and 1, yes and no are known words."""
    if "humor" in known and {"0", "1"}.intersection(map(spell, candidates)) and squash(label) in _YES_NO:
        return str(_YES_NO[squash(label)])
    return resembling(label, candidates)


def _no_classes(others: Sequence[str], counts: Counter[str], is_numeric: bool) -> list[str]:
    """Labels that stand for a missing one, or stand among numbers; none where fewer than two would be left."""
    if is_numeric:
        return [one for one in others if read_number(one) is None]
    wrong = [one for one in others if squash(one).strip("-?") in _MISSING]
    return wrong if len({spell(one) for one in counts if one not in wrong}) >= 2 else []


def _set_classes(
    others: Sequence[str],
    there: Sequence[str],
    alike: dict[str, str],
    names: Sequence[str] | None,
    aliases: Aliases,
    known: Mapping[str, int],
) -> str:
    """The remedy that makes classes of labels; an empty text where there would be one class."""
    before = _pairs(aliases, known)
    found = dict(before)
    if names and there:
        known_names = dict(enumerate(names))
    else:  # one name for each of the classes that are known without a setting
        resolved = {spell(label): name for label, name in before.items()}
        known_names = {}
        for one in sorted(there, key=lambda one: spell(one) not in known):
            name = one if spell(one) in known else resolved[spell(one)]
            first = known_names.setdefault(known[spell(name)], name)
            if spell(one) in known and spell(one) != spell(first):
                found[one] = first
        found = {
            label: known_names[known[spell(name)]]
            for label, name in found.items()
            if known.get(spell(name)) in known_names
        }
    classes: list[str] = []
    for one in others:  # the most frequent first: the rarer spelling is the alias
        same = next((other for other in classes if spell(one) == spell(other) or is_same(one, other)), None)
        if same is None:
            classes.append(one)
        elif spell(one) != spell(same):
            found[one] = same
    for label, like in alike.items():
        found[label] = known_names.setdefault(known[spell(like)], like)
    # The last of names that are set stays humor.
    wanted = [*names[:-1], *classes, names[-1]] if names and there else _in_order([*known_names.values(), *classes])
    if len(wanted) < 2:
        return ""
    more = f" {_type_aliases(found)}" if found != before else ""
    return f"set {typed('data.label_names', wanted)}{more} (class order, humor last)"


def _numbers(counts: Mapping[str, int]) -> Counter[float]:
    """Rows of the labels that are numbers, by number."""
    found = Counter[float]()
    for one, rows in counts.items():
        if (number := read_number(one)) is not None:
            found[number] += rows
    return found


def _middle(numbers: Counter[float]) -> float:
    """A number that half of the rows or more reach, above the smallest one if there are two."""
    different = sorted(numbers)
    rows = sorted(numbers.elements())
    return max(rows[len(rows) // 2], different[min(1, len(different) - 1)])


def _exact(number: float) -> str:
    """The shortest form of exactly this number."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 5:,} more" if len(labels) > 5 else ""
    return ", ".join(f"'{one[:40]}'" for one in labels[:5]) + more


def _in_order(labels: Sequence[str]) -> list[str]:
    """Numbers by size; else what sounds like a negation first and what sounds like humor last."""
    numbers = {one: read_number(one) for one in labels}
    if None not in numbers.values():
        return sorted(labels, key=lambda one: numbers[one] or 0)

    def rank(label: str) -> tuple[int, str]:
        squashed = squash(label)
        return (2 if squashed in _LAST else 0 if squashed.startswith(_NEGATIONS) else 1), label

    return sorted(labels, key=rank)


def _pairs(aliases: Aliases, known: Mapping[str, int]) -> dict[str, str]:
    pairs = aliases.items() if isinstance(aliases, Mapping) else [read_pair(one, known) for one in aliases or ()]
    return {str(label): str(name) for label, name in pairs}


def _type_aliases(pairs: Mapping[str, str]) -> str:
    """``data.label_aliases`` as it is typed; a list where Hydra's grammar has no such keys."""
    if not pairs:
        return typed("data.label_aliases", None)
    if all(item(word) == word for key in pairs for word in key.split(" ")):
        inside = ", ".join(f"{key}: {item(value)}" for key, value in pairs.items())
        return shlex.quote(f"data.label_aliases={{{inside}}}")
    return typed("data.label_aliases", [f"{key}: {value}" for key, value in pairs.items()])
