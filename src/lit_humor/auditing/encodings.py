"""Repairs texts that were decoded with a wrong encoding (``â€™`` for ``’``), where that loses no character."""

from __future__ import annotations

import functools
import re
import unicodedata

from lit_humor.core.errors import MissingExtraError

_WRONG_ENCODINGS = (
    *("latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250", "sloppy-windows-1253"),
    *("sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "macroman", "cp437"),
)
_LIKELY_ENCODINGS = _WRONG_ENCODINGS[:2]  # of a text that was decoded wrongly several times
_MAX_TIMES = 4
# What the rest of a damaged closing quote (â€) becomes together with the mark behind it: … – — ’ € and the like.
_UNLIKELY = re.compile("[\u2000-\u2008\u200a\u2012\u2016\u2017]")

_NO_TEXT = ("Cc", "Cn", "Co", "Cs")  # controls, and code points without a character


def is_mojibake(text: str) -> bool:
    """Whether a text looks as if it had been decoded with a wrong encoding.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    try:
        import ftfy
    except ImportError:
        raise MissingExtraError("mojibake", package="ftfy", extra="audit") from None
    return ftfy.is_bad(text) or "â€" in text


def undo_mojibake(text: str) -> str:
    """Repair a text that was decoded with a wrong encoding, once or several times.

    A text stays as it is if a part of it would stay damaged, or if the repaired text does not give back each character
    of the damaged one when it is decoded wrongly again: then the repair is a guess.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    if not is_mojibake(text):
        return text
    import ftfy

    repaired = ftfy.fix_encoding(text)
    new_characters = set(repaired) - set(text)
    is_sure = not any(_UNLIKELY.match(new) or unicodedata.category(new) in _NO_TEXT for new in new_characters)
    return repaired if is_sure and not is_mojibake(repaired) and _is_lossless(text, repaired) else text


def _is_lossless(text: str, repaired: str) -> bool:
    """Whether each repaired character, damaged again or as it is, gives back the whole text."""
    pattern = "".join(re.escape(character) if character.isascii() else _damaged(character) for character in repaired)
    return re.fullmatch(pattern, text) is not None


@functools.cache
def _damaged(character: str) -> str:
    """Return a pattern of a character as it is, and of what wrong encodings make of it; the longest form first."""
    forms = {character: 0}
    for times in range(_MAX_TIMES):
        encodings = _LIKELY_ENCODINGS if times else _WRONG_ENCODINGS
        for form in [form for form, number in forms.items() if number == times]:
            for encoding in encodings:
                decoded = form.encode().decode(encoding, "replace")
                if "\ufffd" not in decoded or form == "\ufffd":
                    forms.setdefault(decoded, times + 1)
    forms.setdefault(character.encode("cp1252", "ignore").decode("latin-1"), 1)  # a byte that was read as Latin-1
    longest_first = sorted((form for form in forms if form), key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, longest_first))})"
