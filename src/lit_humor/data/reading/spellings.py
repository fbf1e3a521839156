"""Spellings of labels: which ones mean the same, and which ones only look alike."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

_ALIKE = 0.75  # from this ratio of difflib on, a label is a spelling of a known one
_NEGATIONS = {
    *("no", "not", "non", "nope", "never", "without", "un", "in", "im", "ir", "dis", "anti", "nt"),
    *("nicht", "kein", "keine", "nein", "pas", "sin", "sem", "não", "nao", "senza", "niet", "geen"),
    *("не", "нет", "без", "ni", "nie", "inte", "ikke", "नहीं", "לא", "غير", "ليس", "لا"),
    *("不", "没", "沒", "非", "无", "無", "未"),
}  # fmt: skip
_ENDINGS = ("s", "es")


def spell(value: Any) -> str:
    """One spelling for what people mean to be the same label: 1, 1.0, '1.0', True and ' true ' differ only by type."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", str(value).strip().lower())


def read_number(value: Any) -> float | None:
    """A finite number, also with a decimal comma; None where a label is none."""
    if isinstance(value, str):
        value = re.sub(r"^(\s*[+-]?\d+),(\d+\s*)$", r"\1.\2", value)
    number = math.nan
    with suppress(TypeError, ValueError):
        number = float(value)
    return number if math.isfinite(number) else None


def squash(label: str) -> str:
    """A label without case, blanks and marks; symbols and marks that may tell classes apart stay."""
    plain = unicodedata.normalize("NFKC", label).casefold().strip()
    last = len(plain) - 1
    return "".join(
        one
        for at, one in enumerate(plain)
        if unicodedata.category(one)[0] not in "PZC"
        or one in "?#%"
        or (one == "-" and at in (0, last))
        or (one == "!" and at == 0)
    )


def is_same(label: str, other: str) -> bool:
    """Whether two labels differ in nothing but marks and case; ``1.5`` and ``15`` are two."""
    squashed = squash(label)
    return squashed != "" and squashed == squash(other) and _numerals(label) == _numerals(other)


def resembling(label: str, known: Iterable[str]) -> str | None:
    """The known label that another one is a spelling of: equal but for marks and case, or nearly so.

    A negation is no spelling, nor is another number or last letter: ``unfunny`` does not resemble ``funny``.
    """
    known = list(known)
    if same := next((one for one in known if is_same(label, one)), None):
        return same
    ratios = {one: difflib.SequenceMatcher(None, squash(label), squash(one)).ratio() for one in known}
    near = [one for one in known if ratios[one] > _ALIKE and not _is_another(label, one)]
    return max(near, key=lambda one: ratios[one], default=None)


def read_pair(alias: str, known: Collection[str] = ()) -> tuple[str, str]:
    """An alias of the form ``found: known``; of several colons the one before a known name counts."""
    parts = alias.split(":")
    pairs = [(":".join(parts[:at]).strip(), ":".join(parts[at:]).strip()) for at in range(len(parts) - 1, 0, -1)]
    return next((pair for pair in pairs if pair[1].lower() in known), (pairs or [(alias, "")])[0])


def _numerals(label: str) -> list[str]:
    return re.findall(r"\d+", label)


def _words(label: str) -> list[str]:
    return re.findall(r"[^\W_]+", label.casefold())


def _is_another(label: str, other: str) -> bool:
    """Whether what two labels differ in makes them two, however small it is."""
    first, second = sorted((squash(label), squash(other)), key=len)
    words, others = _words(label), _words(other)
    if first.isdigit() or _numerals(label) != _numerals(other) or not words or not others:
        return True
    if first[0] != second[0] or (
        len(words) == len(others) and any(a[0] != b[0] for a, b in zip(words, others, strict=True))
    ):
        return True
    if sorted(_NEGATIONS.intersection(words)) != sorted(_NEGATIONS.intersection(others)):
        return True
    if re.sub("[ivx]+$", "", first) == re.sub("[ivx]+$", "", second):  # type I and type II
        return True
    if len(first) == len(second) and first[:-1] == second[:-1]:  # class_a and class_b
        return True
    if second.startswith(first):  # a question is not questionable, and class_a is not class
        rest, last = second[len(first) :], max(words, others, key=lambda one: len("".join(one)))[-1]
        return rest not in _ENDINGS and (len(rest) > 1 or len(last) == 1 or not rest.isalpha())
    pieces = difflib.SequenceMatcher(None, first, second).get_opcodes()
    return any({first[a:b], second[c:d]} & _NEGATIONS for what, a, b, c, d in pieces if what != "equal")
