"""Finds texts that are damaged, very short, or contain addresses and handles; and detects the languages of texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from lit_humor.auditing.encodings import is_mojibake
from lit_humor.auditing.repairs import TAG, Repaired
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
_MIN_CHARACTERS = 5  # characters
_LANGUAGE_SAMPLE = 2000  # rows of a split

_FIX = "fix=<folder> repairs those where the repair is certain"
_DAMAGE: dict[str, tuple[Literal["warning", "note"], str, str]] = {
    "mojibake": (WARNING, "texts decoded with a wrong encoding", f"{_FIX}; or decode them with the right one"),
    "control_characters": (
        WARNING,
        "texts with control or replacement characters",
        f"{_FIX}; the original character of � is lost",
    ),
    "html_entities": (WARNING, "texts with HTML entities such as &amp;", "fix=<folder> replaces them by characters"),
    "html_tags": (WARNING, "texts with HTML tags", _FIX),
    "invisible_characters": (WARNING, "texts with invisible characters", "fix=<folder> removes them"),
    "escapes": (WARNING, "texts with escape sequences such as \\n or \\u00e9", _FIX),
    "doubled_quotes": (
        WARNING,
        'texts with ""doubled"" quotes of a CSV file',
        "fix=<folder> removes the second ones",
    ),
    "blanks": (NOTE, "texts with tabs, repeated spaces, or spaces at either end", "fix=<folder> leaves single spaces"),
}


def text_findings(rows: Rows, repaired: Repaired) -> list[Finding]:
    """Find damaged texts (with their repaired form), addresses, handles, retweets, quotes and very short texts.

    Returns:
        The findings that have cases.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    detectors: dict[str, Callable[[str], object]] = {  # damage that may stay after a repair
        "mojibake": is_mojibake,
        "control_characters": lambda text: "\ufffd" in text,
        "html_tags": TAG.search,
        "escapes": _ESCAPE.search,
    }
    findings = []
    for kind, (level, title, remedy) in _DAMAGE.items():
        is_damaged = detectors.get(kind, lambda text: False)
        cases = []
        for row, text in enumerate(rows.texts):
            if kind in repaired.kinds[row]:
                repaired_text = "" if row in repaired.empty else repaired.rows.texts[row]
                removed = (
                    {"gone": _code_points(set(text) - set(repaired_text))} if kind == "invisible_characters" else {}
                )
                cases.append([rows.describe(row) | {"mended": repaired_text} | removed])
            elif is_damaged(text):
                cases.append([rows.describe(row)])
        findings.append(Finding(kind, level, title, remedy, cases))
    mask_urls = "mask them if they predict the label"
    checks: list[tuple[str, str, str, Callable[[str], object]]] = [
        ("very_short", f"texts of fewer than {_MIN_CHARACTERS} characters", "read them", _is_short),
        ("urls", "texts with web addresses", mask_urls, _URL.search),
        ("email_addresses", "texts with e-mail addresses", "mask them: they name people", _EMAIL.search),
        ("user_handles", "texts with user handles", "mask them: they name people", _HANDLE.search),
        (
            "retweets",
            "texts that begin like a retweet, such as RT @name",
            "remove these beginnings if they predict the label",
            _RETWEET.search,
        ),
        ("quoted", "texts that are quoted as a whole", "remove the quotes if they predict the label", _is_quoted),
    ]
    for kind, title, remedy, check in checks:
        cases = [[rows.describe(row)] for row, text in enumerate(rows.texts) if check(text)]
        findings.append(Finding(kind, NOTE, title, remedy, cases))
    return [finding for finding in findings if finding.cases]


def _code_points(characters: Collection[str]) -> str:
    """Code points of the characters that cannot be printed, e.g. ``U+200B``."""
    return " ".join(sorted(f"U+{ord(character):04X}" for character in characters if not character.isprintable()))


def _is_quoted(text: str) -> bool:
    """Whether one pair of quotes encloses the whole text."""
    text = text.strip()
    return len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}


def _is_short(text: str) -> bool:
    return len(text.strip()) < _MIN_CHARACTERS


def rejected_findings(readings: Mapping[str, Reading]) -> list[Finding]:
    """Find rows that training would reject: blank texts, missing or unknown labels."""
    cases = [
        [place._asdict() | {"text": f"found {problem.found}"}]
        for reading in readings.values()
        for place, problem in reading.rejected_places()
    ]
    title = "rows without a usable text, label or answer"
    problems = [problem for reading in readings.values() for problem in reading.rejected.values()]
    unknown = Counter(problem.fix for problem in problems if isinstance(problem, UnknownLabelError))
    remedy = "".join(f"for {rows:,} labels that match no class: {fix}; otherwise " for fix, rows in unknown.items())
    remedy += "leave the rows out with fix=<folder>"
    return [Finding("unusable_rows", ERROR, title, remedy, cases)] if cases else []


def detect_languages(rows: Rows, split: str) -> dict[str, int]:
    """Count the languages of a split in a sample of about 2,000 evenly spaced rows, most frequent first.

    Detection is unreliable for short texts: languages of fewer than 2 % of the rows are counted as "other".

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
    frequent = {code: count for code, count in counts.most_common() if count * 50 >= counts.total()}
    rest = counts.total() - sum(frequent.values())
    return frequent | ({"other": rest} if rest else {})
