"""Texts that are damaged, tell who wrote them, or are of an odd length; and the language they are in."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from lit_humor.auditing.rows import ERROR, NOTE, WARNING, Finding, Rows
from lit_humor.core.errors import MissingExtraError
from lit_humor.data.examples import Reading
from lit_humor.data.labels import UnknownLabelError

_URL = re.compile(r"https?://\S+|\bwww\.\S+", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_HANDLE = re.compile(r"(?<![\w@.])@\w{2,}")
_SHORTEST = 5  # characters
_LANGUAGE_SAMPLE = 2000  # rows of a split


def text_findings(rows: Rows) -> list[Finding]:
    """Tell damaged texts, addresses and very short texts.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    try:
        import ftfy
    except ImportError:
        raise MissingExtraError("mojibake", package="ftfy", extra="audit") from None
    checks: list[tuple[str, Literal["warning", "note"], str, str, Callable[[str], object]]] = [
        ("control_characters", WARNING, "texts with control or replacement characters", "clean them", _odd_character),
        ("mojibake", WARNING, "texts decoded with a wrong encoding", "read them with the right encoding", ftfy.is_bad),
        ("very_short", NOTE, f"texts of fewer than {_SHORTEST} characters", "read them", _is_short),
        ("urls", NOTE, "texts with web addresses", "mask them if they give the label away", _URL.search),
        ("email_addresses", NOTE, "texts with e-mail addresses", "mask them: they name people", _EMAIL.search),
        ("user_handles", NOTE, "texts with user handles", "mask them: they name people", _HANDLE.search),
    ]
    found = []
    for kind, level, title, remedy, check in checks:
        cases = [[rows.describe(row)] for row, text in enumerate(rows.texts) if check(text)]
        if cases:
            found.append(Finding(kind, level, title, remedy, cases))
    return found


def _odd_character(text: str) -> bool:
    return any(c == "\ufffd" or (unicodedata.category(c) == "Cc" and c not in "\n\r\t") for c in text)


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
