"""Compares spellings of labels: which ones mean the same label, and which ones only look similar."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

_MIN_RATIO = 0.75  # of difflib; above it, a label is a spelling of a known one
_NEGATIONS = {
    *("no", "not", "non", "nope", "never", "without", "un", "in", "im", "ir", "dis", "anti", "nt"),
    *("nicht", "kein", "keine", "nein", "pas", "sin", "sem", "não", "nao", "senza", "niet", "geen"),
    *("не", "нет", "без", "ni", "nie", "inte", "ikke", "नहीं", "לא", "غير", "ليس", "لا"),
    *("不", "没", "沒", "非", "无", "無", "未"),
}  # fmt: skip
_PLURALS = ("s", "es")
_UNIT = re.compile(r"(?<=\d)\s*(?:%|stars?|points?|/\s*\d+|out of \d+)\s*$", re.IGNORECASE)  # of a rating


def canonical(value: Any) -> str:
    """Return one spelling for labels that differ only in type, case or blanks: 1, 1.0 and '1.0'; True and ' true '."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return re.sub(r"^\+?(-?\d+)(\.0+)?$", r"\1", str(value).strip().lower())


def read_number(value: Any) -> float | None:
    """Return a label as a finite number, or None; a decimal comma and a unit of ratings (85%, 3 stars) are allowed."""
    if isinstance(value, str):
        value = _UNIT.sub("", value)
        value = re.sub(r"^(\s*[+-]?\d+),(\d+\s*)$", r"\1.\2", value)
    number = math.nan
    with suppress(TypeError, ValueError):
        number = float(value)
    return number if math.isfinite(number) else None


def bare_label(label: str) -> str:
    """Return a label in lower case without blanks and punctuation; marks that may distinguish classes stay."""
    folded = unicodedata.normalize("NFKC", label).casefold().strip()
    last = len(folded) - 1
    return "".join(
        character
        for position, character in enumerate(folded)
        if unicodedata.category(character)[0] not in "PZC"
        or character in "?#%"
        or (character == "-" and position in (0, last))
        or (character == "!" and position == 0)
    )


def is_same(label: str, other: str) -> bool:
    """Whether two labels differ only in punctuation and case; ``1.5`` and ``15`` are different."""
    bare = bare_label(label)
    return bare != "" and bare == bare_label(other) and _digit_groups(label) == _digit_groups(other)


def nearest_label(label: str, known: Iterable[str]) -> str | None:
    """Return the known label that ``label`` is a spelling of (equal or similar up to punctuation and case), or None.

    A negation, another number or another last letter makes a different label: ``unfunny`` is not ``funny``.
    """
    known = list(known)
    if same_label := next((name for name in known if is_same(label, name)), None):
        return same_label
    ratios = {name: difflib.SequenceMatcher(None, bare_label(label), bare_label(name)).ratio() for name in known}
    close = [name for name in known if ratios[name] > _MIN_RATIO and not _is_different_label(label, name)]
    return max(close, key=lambda name: ratios[name], default=None)


def read_pair(alias: str, known: Collection[str] = ()) -> tuple[str, str]:
    """Split an alias of the form ``found: known`` in two; of several colons, it uses one that precedes a known name."""
    parts = alias.split(":")
    pairs = [(":".join(parts[:at]).strip(), ":".join(parts[at:]).strip()) for at in range(len(parts) - 1, 0, -1)]
    return next((pair for pair in pairs if pair[1].lower() in known), (pairs or [(alias, "")])[0])


def _digit_groups(label: str) -> list[str]:
    return re.findall(r"\d+", label)


def _words(label: str) -> list[str]:
    return re.findall(r"[^\W_]+", label.casefold())


def _is_different_label(label: str, other: str) -> bool:
    """Whether two similar labels are different labels, however small the difference."""
    shorter, longer = sorted((bare_label(label), bare_label(other)), key=len)
    words, other_words = _words(label), _words(other)
    if shorter.isdigit() or _digit_groups(label) != _digit_groups(other) or not words or not other_words:
        return True
    if shorter[0] != longer[0] or (
        len(words) == len(other_words) and any(a[0] != b[0] for a, b in zip(words, other_words, strict=True))
    ):
        return True
    if sorted(_NEGATIONS.intersection(words)) != sorted(_NEGATIONS.intersection(other_words)):
        return True
    if re.sub("[ivx]+$", "", shorter) == re.sub("[ivx]+$", "", longer):  # type I and type II
        return True
    if len(shorter) == len(longer) and shorter[:-1] == longer[:-1]:  # class_a and class_b
        return True
    if longer.startswith(shorter):  # "questionable" is not "question", and class_a is not class
        suffix, last = longer[len(shorter) :], max(words, other_words, key=lambda parts: len("".join(parts)))[-1]
        return suffix not in _PLURALS and (len(suffix) > 1 or len(last) == 1 or not suffix.isalpha())
    edits = difflib.SequenceMatcher(None, shorter, longer).get_opcodes()
    return any({shorter[a:b], longer[c:d]} & _NEGATIONS for operation, a, b, c, d in edits if operation != "equal")
