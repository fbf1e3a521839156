"""Texts that are damaged or cut off, tell who wrote them, or are of an odd length; and the language they are in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from lit_humor.auditing.mending import TAG, Mended
from lit_humor.auditing.rows import ERROR, NOTE, WARNING, Finding, Rows
from lit_humor.core.errors import MissingExtraError
from lit_humor.data.examples import Reading
from lit_humor.data.reading.labels import UnknownLabelError

_URL = re.compile(r"https?://\S+|\bwww\.\S+", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_HANDLE = re.compile(r"(?<![\w@.])@\w{2,}")
_RETWEET = re.compile(r"""^["“]?\s*(?:RT|MT|QT|rt)\b\s*:?\s*["“]?@\w+|^\s*RT\s*:""")
_QUOTES = {'"': '"', "“": "”", "”": "”", "„": "“", "«": "»", "»": "«", "「": "」", "『": "』"}
_ESCAPE = re.compile(r"(?<!\\)\\(?:[nrt\"']|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})")
_SHORTEST = 5  # characters
_LANGUAGE_SAMPLE = 2000  # rows of a split

_FIX = "fix=<folder> mends those that it is sure of"
_DAMAGE: dict[str, tuple[Literal["warning", "note"], str, str]] = {
    "mojibake": (WARNING, "texts decoded with a wrong encoding", f"{_FIX}; or read them with the right one"),
    "control_characters": (
        WARNING,
        "texts with control or replacement characters",
        f"{_FIX}; the character that was � cannot be recovered",
    ),
    "html_entities": (WARNING, "texts with HTML entities such as &amp;", "fix=<folder> writes them out"),
    "html_tags": (WARNING, "texts with HTML tags", _FIX),
    "invisible_characters": (WARNING, "texts with characters that nobody sees", "fix=<folder> takes them out"),
    "escapes": (WARNING, "texts with escapes written out, such as \\n or \\u00e9", _FIX),
    "doubled_quotes": (
        WARNING,
        'texts with ""doubled"" quotes of a CSV file',
        "fix=<folder> takes the second ones out",
    ),
    "blanks": (NOTE, "texts with tabs, several blanks in a row or blanks at an end", "fix=<folder> leaves one blank"),
}


def text_findings(rows: Rows, mended: Mended) -> list[Finding]:
    """Tell damaged texts, with what mending would make of them; addresses, retweets, quotes and very short texts.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    try:
        import ftfy
    except ImportError:
        raise MissingExtraError("mojibake", package="ftfy", extra="audit") from None
    unsure: dict[str, Callable[[str], object]] = {  # damage that mending leaves as it is
        "mojibake": ftfy.is_bad,
        "control_characters": lambda text: "\ufffd" in text,
        "html_tags": TAG.search,
        "escapes": _ESCAPE.search,
    }
    found = []
    for kind, (level, title, remedy) in _DAMAGE.items():
        seen = unsure.get(kind, lambda text: False)
        cases = []
        for row, text in enumerate(rows.texts):
            if kind in mended.kinds[row]:
                after = "" if row in mended.empty else mended.rows.texts[row]
                gone = {"gone": _code_points(set(text) - set(after))} if kind == "invisible_characters" else {}
                cases.append([rows.describe(row) | {"mended": after} | gone])
            elif seen(text):
                cases.append([rows.describe(row)])
        found.append(Finding(kind, level, title, remedy, cases))
    address = "mask them if they give the label away"
    checks: list[tuple[str, str, str, Callable[[str], object]]] = [
        ("very_short", f"texts of fewer than {_SHORTEST} characters", "read them", _is_short),
        ("urls", "texts with web addresses", address, _URL.search),
        ("email_addresses", "texts with e-mail addresses", "mask them: they name people", _EMAIL.search),
        ("user_handles", "texts with user handles", "mask them: they name people", _HANDLE.search),
        (
            "retweets",
            "texts with the head of a retweet",
            "cut the heads off if they give the label away",
            _RETWEET.search,
        ),
        ("quoted", "texts that stand in quotes as a whole", "strip the quotes if they give the label away", _is_quoted),
    ]
    for kind, title, remedy, check in checks:
        cases = [[rows.describe(row)] for row, text in enumerate(rows.texts) if check(text)]
        found.append(Finding(kind, NOTE, title, remedy, cases))
    return [finding for finding in found if finding.cases]


def _code_points(characters: Collection[str]) -> str:
    return " ".join(sorted(f"U+{ord(character):04X}" for character in characters if not character.isprintable()))


def _is_quoted(text: str) -> bool:
    text = text.strip()
    return len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}


def _is_short(text: str) -> bool:
    return len(text.strip()) < _SHORTEST


def rejected_findings(readings: Mapping[str, Reading]) -> list[Finding]:
    """Tell rows that training would refuse: blank texts, missing or unknown labels."""
    cases = [
        [place._asdict() | {"text": f"found {problem.found}"}]
        for reading in readings.values()
        for place, problem in reading.rejected_places()
    ]
    title = "rows without a usable text or label"
    problems = [problem for reading in readings.values() for problem in reading.rejected.values()]
    unknown = Counter(problem.fix for problem in problems if isinstance(problem, UnknownLabelError))
    remedy = "".join(f"for {rows:,} labels that no class has: {fix}; else " for fix, rows in unknown.items())
    remedy += "leave them out with fix=<folder>"
    return [Finding("unusable_rows", ERROR, title, remedy, cases)] if cases else []


def detect_languages(rows: Rows, split: str) -> dict[str, int]:
    """Languages of a split, most frequent first, from about 2,000 rows at even distances.

    Single short texts are often told wrong: what is found in less than one row of fifty counts as "other".

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    try:
        import py3langid
    except ImportError:
        raise MissingExtraError("languages", package="py3langid", extra="audit") from None
    texts: Sequence[str] = [text for text, name in zip(rows.texts, rows.splits, strict=True) if name == split]
    step = max(1, len(texts) // _LANGUAGE_SAMPLE)
    counts = Counter(py3langid.classify(text)[0] for text in texts[::step])
    found = {code: count for code, count in counts.most_common() if count * 50 >= counts.total()}
    rest = counts.total() - sum(found.values())
    return found | ({"other": rest} if rest else {})
