"""Repairs damage in texts where that needs no understanding of the text: one function for each kind of damage."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html.entities import html5

from lit_humor.auditing.encodings import is_mojibake, undo_mojibake
from lit_humor.auditing.rows import Rows, join_splits
from lit_humor.data.examples import Examples

# Some invisible characters are needed: zero-width joiners in scripts from Arabic to Mongolian and in emoji, zero-width
# spaces between words in South-East Asian scripts, tag characters in flags, direction marks in right-to-left texts.
_JOINER_SCRIPTS, _SPACELESS_SCRIPTS = "\u0600-\u109f\u1780-\u18af\ua840-\ua87f", "\u0e00-\u109f\u1780-\u17ff"
_NEEDED_INVISIBLE = re.compile(
    f"(?<=[{_JOINER_SCRIPTS}])[\u200c\u200d]|[\u200c\u200d](?=[{_JOINER_SCRIPTS}])"
    f"|(?<=[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d(?=[\u2190-\u2bff\U0001f000-\U0001faff])"
    f"|(?<=[{_SPACELESS_SCRIPTS}])\u200b(?=[{_SPACELESS_SCRIPTS}])"
    "|\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]+\U000e007f"
)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0001-\U000e007f]"
)
_DIRECTION = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069]"
)  # without the overrides, which hide what is written

_SURROGATE_ENTITIES = re.compile(r"&#(5[5-6][0-9]{3});&#(5[6-7][0-9]{3});")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_TAG_NAMES = (
    "a|abbr|article|aside|audio|b|big|blockquote|body|br|button|center|cite|code|dd|del|div|dl|dt|em|figure|font|footer"
    "|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|li|link|main|mark|meta|nav|ol|option|p|pre|q|s"
    "|script|section|select|small|source|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|tfoot|th|thead"
    "|title|tr|tt|u|ul|video"
)
_ATTRIBUTES = r"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*\s*"""
TAG = re.compile(rf"<(?P<close>/?)(?P<name>{_TAG_NAMES})\b(?P<attributes>{_ATTRIBUTES})/?>", re.IGNORECASE)
_VOID_TAGS = {"br", "hr", "img", "input", "link", "meta", "source"}  # never closed
_BLOCK_TAGS = re.compile(r"br|hr|p|div|li|tr|h[1-6]|blockquote")

_SURROGATE_ESCAPES = re.compile(r"\\+u([dD][89abAB][0-9a-fA-F]{2})\\+u([dD][c-fC-F][0-9a-fA-F]{2})")
_UNICODE_ESCAPE = re.compile(r"\\{1,2}(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U(000[0-9a-fA-F]{5}))")
_BYTES_ESCAPE = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_EXCEL_ESCAPE = re.compile(r"_x([0-9A-F]{4})_")
_PLAIN_ESCAPE = re.compile(r"\\+(r\\+n|[\"'/nrt])")
_FORMULA = re.compile(
    r"\\(?:n(?:abla|eq?|u|ot|ewline)|r(?:ight|angle|ho|m)|t(?:ext\w*|imes|o|heta|au|an|ilde|extbf))\b"
)

_WINDOWS_1252 = re.compile("[\x80\x85\x91-\x97]")  # euro sign, ellipsis, quotes, bullet, dashes
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_OPENING_DOUBLED = re.compile(r'(?<!\w)""(?=\w)')
_DOUBLED = re.compile(r'(?<=\w)""(?=\W|$)|(?<=[.,!?…;:])""(?!\w)|(?<!\w)""(?=\w)')
_SPACES = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]{2,}|\t")


def undo_escapes(text: str) -> str:
    r"""Replace escape sequences (``\n``, ``\"``, ``\u00e9``, ``\xc3\xa9``, ``_x000D_``) by their characters.

    Escaped line breaks and quotes stay where a backslash means something else: in a path, a formula or a shrug.
    """
    text = _EXCEL_ESCAPE.sub(_undo_excel, text)
    if "\\" not in text:
        return text
    text = _SURROGATE_ESCAPES.sub(lambda match: _join_surrogates(int(match[1], 16), int(match[2], 16), match[0]), text)
    text = _UNICODE_ESCAPE.sub(lambda match: _character(int(match[1] or match[2] or match[3], 16), match[0]), text)
    text = _BYTES_ESCAPE.sub(_decode_bytes, text)
    if "\\" in _PLAIN_ESCAPE.sub("", text) or _FORMULA.search(text) or re.search(r"\b[A-Za-z]:\\|^\\\\\w", text):
        return text
    whitespace = {"t": " ", "n": "\n", "r": "\n"}
    return _PLAIN_ESCAPE.sub(lambda match: whitespace.get(match[1][0], match[1]), text)


def _undo_excel(match: re.Match[str]) -> str:
    """Undo an escape of Excel: a line break everywhere, another character only outside words (it may be a name)."""
    code, neighbours = int(match[1], 16), match.string[: match.start()][-1:] + match.string[match.end() :][:1]
    inside_a_word = code >= 32 and any(character.isalnum() for character in neighbours)
    return match[0] if inside_a_word else _character(code, match[0])


def _character(code: int, otherwise: str) -> str:
    """Return the character of a code point, or ``otherwise`` where it is not allowed in a text."""
    if code in (9, 10, 13):
        return "\n" if code == 13 else chr(code)
    allowed = 32 <= code < 0x110000 and unicodedata.category(chr(code)) not in ("Cc", "Cn", "Cs")
    return chr(code) if allowed else otherwise


def _join_surrogates(high: int, low: int, otherwise: str) -> str:
    """Join the two surrogates of a UTF-16 pair to one character, e.g. an emoji; ``otherwise`` if they are no pair."""
    if 0xD800 <= high < 0xDC00 <= low < 0xE000:
        return _character(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00, otherwise)
    return otherwise


def _decode_bytes(match: re.Match[str]) -> str:
    """Decode a run of ``\\xNN`` escapes as UTF-8; what cannot be decoded stays as it is."""
    try:
        decoded = bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8")
    except UnicodeDecodeError:
        return match[0]
    return decoded if all(_character(ord(character), "") for character in decoded) else match[0]


def undo_entities(text: str) -> str:
    """Replace entities such as ``&amp;`` and ``&#39;`` by characters, also those that were escaped repeatedly."""
    text = _SURROGATE_ENTITIES.sub(lambda match: _join_surrogates(int(match[1]), int(match[2]), match[0]), text)
    for _ in range(5):
        before, text = text, _ENTITY.sub(_unescape, text)
        if text == before:
            break
    return text


def _unescape(match: re.Match[str]) -> str:
    if match[0].startswith("&#"):
        digits = match[0][2:-1]
        code = int(digits[1:], 16) if digits[:1] in "xX" else int(digits)
        return html.unescape(match[0]) if 128 <= code < 160 else _character(code, match[0])
    return " " if match[0] == "&nbsp;" else html5.get(match[0][1:], match[0])  # html.unescape accepts prefixes of names


def undo_tags(text: str) -> str:
    """Remove HTML tags that are void, have attributes or are closed; tags of blocks become line breaks.

    ``<3``, ``a < b``, ``<laughs>`` and a single ``<b>`` stay: they may be intended.
    """
    closed = {match["name"].lower() for match in TAG.finditer(text) if match["close"]}
    opened = {match["name"].lower() for match in TAG.finditer(text) if not match["close"]}

    def replace(match: re.Match[str]) -> str:
        name = match["name"].lower()
        if name not in _VOID_TAGS and name not in closed & opened and not match["attributes"].strip():
            return match[0]
        return "\n" if _BLOCK_TAGS.fullmatch(name) else ""

    repaired = TAG.sub(replace, text)
    return text if repaired == text else re.sub(r"[ \t]*\n\s*", "\n", repaired).strip()


def undo_invisible(text: str) -> str:
    """Remove zero-width characters, soft hyphens, byte order marks and direction marks, where no script needs them."""
    if not _INVISIBLE.search(text):
        return text
    right_to_left = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    needed_positions = {position for match in _NEEDED_INVISIBLE.finditer(text) for position in range(*match.span())}
    return "".join(
        character
        for position, character in enumerate(text)
        if position in needed_positions
        or not _INVISIBLE.match(character)
        or (right_to_left and _DIRECTION.match(character))
    )


def undo_controls(text: str) -> str:
    """Remove control characters; those that are quotes and dashes in Windows-1252 become these."""
    return _CONTROLS.sub("", _WINDOWS_1252.sub(lambda match: match[0].encode("latin-1").decode("cp1252"), text))


def undo_doubled_quotes(text: str) -> str:
    r"""Replace ``""word""``, the CSV escape of a quoted word, by ``"word"``; ``""`` alone stays: it may be intended."""
    if not _OPENING_DOUBLED.search(text):
        return text
    inner = text[1:-1]
    if text[0] == text[-1] == '"' and _OPENING_DOUBLED.search(inner) and '"' not in _DOUBLED.sub("", inner):
        text = inner
    return _DOUBLED.sub('"', text)


def undo_blanks(text: str) -> str:
    """Replace tabs and runs of blanks by one blank, and strip both ends; line breaks stay."""
    return _SPACES.sub(" ", text).strip()


# In the order in which they run: the result of one may be the input that the next one looks for.
REPAIRS: dict[str, Callable[[str], str]] = {
    "escapes": undo_escapes,
    "mojibake": undo_mojibake,
    "html_entities": undo_entities,
    "html_tags": undo_tags,
    "control_characters": undo_controls,
    "invisible_characters": undo_invisible,
    "doubled_quotes": undo_doubled_quotes,
    "blanks": undo_blanks,
}


def repair(text: str) -> tuple[str, tuple[str, ...]]:
    """Repair all kinds of damage in a text, but stop at a wrong encoding that cannot be repaired with certainty.

    What the later repairs would remove from such a text (blanks, soft hyphens) may be a part of a damaged character.

    Returns:
        The repaired text, and the kinds of damage that it had, in the order of ``REPAIRS``.
    """
    kinds = []
    for kind, undo in REPAIRS.items():
        repaired = undo(text)
        if repaired != text:
            kinds.append(kind)
        text = repaired
        if undo is undo_mojibake and is_mojibake(text):
            break
    return text, tuple(kinds)


@dataclass(frozen=True)
class Repaired:
    """All rows after their repair.

    Attributes:
        rows: The rows with repaired texts; a text that would become empty stays as it is.
        kinds: [N] kinds of damage that were repaired in each row.
        empty: Numbers of the rows whose text would become empty.
    """

    rows: Rows
    kinds: list[tuple[str, ...]]
    empty: frozenset[int]


def repair_splits(splits: Mapping[str, Examples]) -> Repaired:
    """Repair the texts and second texts of all splits and concatenate the splits."""
    kinds: list[tuple[str, ...]] = []
    empty: set[int] = set()
    repaired: dict[str, Examples] = {}
    for name, examples in splits.items():
        firsts = [repair(text) for text in examples.texts]
        seconds = [repair(text) for text in examples.text_pairs or [""] * len(examples)]
        empty |= {len(kinds) + row for row, (text, _) in enumerate(firsts) if not text}
        texts = [text or original for (text, _), original in zip(firsts, examples.texts, strict=True)]
        pairs = None if examples.text_pairs is None else [text for text, _ in seconds]
        repaired[name] = replace(examples, texts=texts, text_pairs=pairs)
        for (_, first_kinds), (_, second_kinds) in zip(firsts, seconds, strict=True):
            kinds.append(tuple(kind for kind in REPAIRS if kind in first_kinds or kind in second_kinds))
    return Repaired(join_splits(repaired), kinds, frozenset(empty))
