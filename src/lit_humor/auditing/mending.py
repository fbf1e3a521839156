"""Damage that can be mended without knowing what a text means: each kind has a name and a function that undoes it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html.entities import html5

from lit_humor.auditing.rows import Rows, join_splits
from lit_humor.core.errors import MissingExtraError
from lit_humor.data.examples import Examples

# Zero-width joiners are spelling from Arabic to Mongolian and in emoji, zero-width blanks part words in the scripts
# of South-East Asia, tags make flags, and direction marks belong to texts that run from right to left.
_JOINING, _SPACELESS = "\u0600-\u109f\u1780-\u18af\ua840-\ua87f", "\u0e00-\u109f\u1780-\u17ff"
_SPELLING = re.compile(
    f"(?<=[{_JOINING}])[\u200c\u200d]|[\u200c\u200d](?=[{_JOINING}])"
    f"|(?<=[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d(?=[\u2190-\u2bff\U0001f000-\U0001faff])"
    f"|(?<=[{_SPACELESS}])\u200b(?=[{_SPACELESS}])"
    "|\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]+\U000e007f"
)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0001-\U000e007f]"
)
_DIRECTION = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069]"
)  # but no override, which hides what is written

_ENTITY_HALVES = re.compile(r"&#(5[5-6][0-9]{3});&#(5[6-7][0-9]{3});")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NAMES = (
    "a|abbr|article|aside|audio|b|big|blockquote|body|br|button|center|cite|code|dd|del|div|dl|dt|em|figure|font|footer"
    "|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|li|link|main|mark|meta|nav|ol|option|p|pre|q|s"
    "|script|section|select|small|source|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|tfoot|th|thead"
    "|title|tr|tt|u|ul|video"
)
_ATTRIBUTES = r"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*\s*"""
TAG = re.compile(rf"<(?P<close>/?)(?P<name>{_NAMES})\b(?P<attributes>{_ATTRIBUTES})/?>", re.IGNORECASE)
_ALONE = {"br", "hr", "img", "input", "link", "meta", "source"}  # never closed
_BREAKING = re.compile(r"br|hr|p|div|li|tr|h[1-6]|blockquote")

_HALVES = re.compile(r"\\+u([dD][89abAB][0-9a-fA-F]{2})\\+u([dD][c-fC-F][0-9a-fA-F]{2})")
_UNICODE_ESCAPE = re.compile(r"\\{1,2}(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U(000[0-9a-fA-F]{5}))")
_BYTES_ESCAPE = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_EXCEL_ESCAPE = re.compile(r"_x([0-9A-F]{4})_")
_PLAIN_ESCAPE = re.compile(r"\\+(r\\+n|[\"'/nrt])")
_FORMULA = re.compile(
    r"\\(?:n(?:abla|eq?|u|ot|ewline)|r(?:ight|angle|ho|m)|t(?:ext\w*|imes|o|heta|au|an|ilde|extbf))\b"
)

_WINDOWS = re.compile("[\x80\x85\x91-\x97]")  # euro sign, ellipsis, quotes, bullet, dashes
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_OPENING = re.compile(r'(?<!\w)""(?=\w)')
_DOUBLED = re.compile(r'(?<=\w)""(?=\W|$)|(?<=[.,!?…;:])""(?!\w)|(?<!\w)""(?=\w)')
_BLANKS = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]{2,}|\t")


def undo_mojibake(text: str) -> str:
    """Decode again what was decoded with a wrong encoding, once or several times.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    try:
        import ftfy
    except ImportError:
        raise MissingExtraError("mojibake", package="ftfy", extra="audit") from None
    return ftfy.fix_encoding(text) if ftfy.is_bad(text) else text


def undo_escapes(text: str) -> str:
    r"""Write out ``\n``, ``\"``, ``\u00e9``, ``\xc3\xa9`` and ``_x000D_``.

    Where a backslash is something else, as in a path, a formula or a shrug, breaks and quotes stay as they are.
    """
    text = _EXCEL_ESCAPE.sub(_undo_excel, text)
    if "\\" not in text:
        return text
    text = _HALVES.sub(lambda found: _join(int(found[1], 16), int(found[2], 16), found[0]), text)
    text = _UNICODE_ESCAPE.sub(lambda found: _character(int(found[1] or found[2] or found[3], 16), found[0]), text)
    text = _BYTES_ESCAPE.sub(_decode_bytes, text)
    if "\\" in _PLAIN_ESCAPE.sub("", text) or _FORMULA.search(text) or re.search(r"\b[A-Za-z]:\\|^\\\\\w", text):
        return text
    breaks = {"t": " ", "n": "\n", "r": "\n"}
    return _PLAIN_ESCAPE.sub(lambda found: breaks.get(found[1][0], found[1]), text)


def _undo_excel(found: re.Match[str]) -> str:
    """A break wherever it stands; other characters only apart from words, where it may be a part of a name."""
    code, beside = int(found[1], 16), found.string[: found.start()][-1:] + found.string[found.end() :][:1]
    is_name = code >= 32 and any(character.isalnum() for character in beside)
    return found[0] if is_name else _character(code, found[0])


def _character(code: int, otherwise: str) -> str:
    """The character of a code, where that is one that a text may hold."""
    if code in (9, 10, 13):
        return "\n" if code == 13 else chr(code)
    allowed = 32 <= code < 0x110000 and unicodedata.category(chr(code)) not in ("Cc", "Cn", "Cs")
    return chr(code) if allowed else otherwise


def _join(high: int, low: int, otherwise: str) -> str:
    """One character whose two halves were written apart, as emoji are in UTF-16."""
    if 0xD800 <= high < 0xDC00 <= low < 0xE000:
        return _character(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00, otherwise)
    return otherwise


def _decode_bytes(found: re.Match[str]) -> str:
    try:
        decoded = bytes.fromhex(found[0].replace("\\x", "")).decode("utf-8")
    except UnicodeDecodeError:
        return found[0]
    return decoded if all(_character(ord(one), "") for one in decoded) else found[0]


def undo_entities(text: str) -> str:
    """Write ``&amp;``, ``&#39;``, ``&lt;`` and the like out, also where they were escaped several times."""
    text = _ENTITY_HALVES.sub(lambda found: _join(int(found[1]), int(found[2]), found[0]), text)
    for _ in range(5):
        before, text = text, _ENTITY.sub(_unescape, text)
        if text == before:
            break
    return text


def _unescape(found: re.Match[str]) -> str:
    if found[0].startswith("&#"):
        digits = found[0][2:-1]
        code = int(digits[1:], 16) if digits[:1] in "xX" else int(digits)
        return html.unescape(found[0]) if 128 <= code < 160 else _character(code, found[0])
    return " " if found[0] == "&nbsp;" else html5.get(found[0][1:], found[0])  # html.unescape takes beginnings of names


def undo_tags(text: str) -> str:
    """Take HTML tags out: those that stand alone, have attributes or are closed; line breaks stay breaks.

    ``<3``, ``a < b``, ``<laughs>`` and a single ``<b>`` are no damage that is sure to be one.
    """
    closed = {found["name"].lower() for found in TAG.finditer(text) if found["close"]}
    opened = {found["name"].lower() for found in TAG.finditer(text) if not found["close"]}

    def replace(found: re.Match[str]) -> str:
        name = found["name"].lower()
        if name not in _ALONE and name not in closed & opened and not found["attributes"].strip():
            return found[0]
        return "\n" if _BREAKING.fullmatch(name) else ""

    mended = TAG.sub(replace, text)
    return text if mended == text else re.sub(r"[ \t]*\n\s*", "\n", mended).strip()


def undo_invisible(text: str) -> str:
    """Take out zero-width characters, soft hyphens, byte order marks and marks of direction that spell nothing."""
    if not _INVISIBLE.search(text):
        return text
    leftward = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    kept = {place for found in _SPELLING.finditer(text) for place in range(*found.span())}
    return "".join(
        character
        for place, character in enumerate(text)
        if place in kept or not _INVISIBLE.match(character) or (leftward and _DIRECTION.match(character))
    )


def undo_controls(text: str) -> str:
    """Take control characters out, and read those that Windows writes as quotes and dashes as what they were."""
    return _CONTROLS.sub("", _WINDOWS.sub(lambda one: one[0].encode("latin-1").decode("cp1252"), text))


def undo_doubled_quotes(text: str) -> str:
    r"""Read ``""word""``, what a CSV file left of a quoted word, as ``"word"``; a pair alone may be an empty text."""
    if not _OPENING.search(text):
        return text
    inner = text[1:-1]
    if text[0] == text[-1] == '"' and _OPENING.search(inner) and '"' not in _DOUBLED.sub("", inner):
        text = inner
    return _DOUBLED.sub('"', text)


def undo_blanks(text: str) -> str:
    """One blank for a tab or several blanks, and none at either end; line breaks stay."""
    return _BLANKS.sub(" ", text).strip()


# In the order in which they are undone: what one writes out may be what the next one looks for.
MENDERS: dict[str, Callable[[str], str]] = {
    "escapes": undo_escapes,
    "mojibake": undo_mojibake,
    "html_entities": undo_entities,
    "html_tags": undo_tags,
    "control_characters": undo_controls,
    "invisible_characters": undo_invisible,
    "doubled_quotes": undo_doubled_quotes,
    "blanks": undo_blanks,
}


def mend(text: str) -> tuple[str, tuple[str, ...]]:
    """Undo all damage.

    Returns:
        The mended text and the kinds of damage that it had, in the order of ``MENDERS``.
    """
    kinds = []
    for kind, undo in MENDERS.items():
        mended = undo(text)
        if mended != text:
            kinds.append(kind)
        text = mended
    return text, tuple(kinds)


@dataclass(frozen=True)
class Mended:
    """What all rows become.

    Attributes:
        rows: With mended texts; a text of which nothing would be left stays as it is.
        kinds: [N] the kinds of damage that were undone.
        empty: Rows of which nothing would be left.
    """

    rows: Rows
    kinds: list[tuple[str, ...]]
    empty: frozenset[int]


def mend_splits(splits: Mapping[str, Examples]) -> Mended:
    """Mend the texts and second texts of all splits, end to end."""
    kinds: list[tuple[str, ...]] = []
    empty: set[int] = set()
    mended: dict[str, Examples] = {}
    for name, examples in splits.items():
        firsts = [mend(text) for text in examples.texts]
        seconds = [mend(text) for text in examples.text_pairs or [""] * len(examples)]
        empty |= {len(kinds) + row for row, (text, _) in enumerate(firsts) if not text}
        texts = [text or whole for (text, _), whole in zip(firsts, examples.texts, strict=True)]
        pairs = None if examples.text_pairs is None else [text for text, _ in seconds]
        mended[name] = replace(examples, texts=texts, text_pairs=pairs)
        for (_, of_first), (_, of_second) in zip(firsts, seconds, strict=True):
            kinds.append(tuple(kind for kind in MENDERS if kind in of_first or kind in of_second))
    return Mended(join_splits(mended), kinds, frozenset(empty))
