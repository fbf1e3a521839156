"""Finds texts that were cut off, and texts made from one template."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from lit_humor.auditing.rows import NOTE, WARNING, Finding, Rows

_ELLIPSIS = re.compile(r"(?:…|\.{3,}|\. \. \.)[\"'”’»)]*$")
_CUT_URL = re.compile(
    r"(?:…|\.\.\.)\s*https?://\S*$|https?://\S*(?:…|\.\.\.)$|(?<!\w)https?:/{1,2}(?:t(?:\.(?:co?/?)?)?)?$"
    r"|pic\.twitter\.co?m?/?$",
    re.IGNORECASE,
)
_READ_MORE = re.compile(
    r"[\[(]\s*(?:…|\.\.\.|(?:(?:read|show|see)\s+)?more|cont(?:\.|inued)?|truncated)\s*[\])]$"
    r"|(?:…|\.\.\.)\s*(?:(?:read|show|see)\s+)?more$|[\r\n]\s*(?:read|show|see) more$",
    re.IGNORECASE,
)
_SENTENCE_ENDS = tuple(".!?…\"'”’»)]。！？」؟।")
_TWEET_LIMITS = (140, 280)  # maximum length of a tweet in characters: until 2017, and since then
_MIN_LIMIT = 50
_NEIGHBOURS = 10  # shorter and longer lengths that a suspicious length is compared with
_MIN_TEXTS, _MIN_RATIO = 20, 5  # a limit: texts with this length, and their ratio to shorter lengths

_WORDS = re.compile(r"\w+(?:['’]\w+)?")
_PREFIX_WORDS, _MIN_FIXED_WORDS = 3, 4  # length of a common beginning; fewest words that a template has
_MIN_SHARE, _MIN_ROWS = 0.05, 20  # fewest rows of a template: share of all rows, and number
_SHOWN = 3


def truncation_findings(rows: Rows, first_texts: Sequence[str]) -> list[Finding]:
    """Find texts that were probably cut off, and texts that end in an ellipsis, which may be intended.

    Args:
        rows: All rows.
        first_texts: [N] texts without the second texts, which would hide the ends.
    """
    length_limits = _limits([len(text) for text in first_texts])
    truncated, open_ended = [], []
    for row, text in enumerate(first_texts):
        end = text.rstrip()
        at_limit = len(text) in length_limits and not end.endswith(_SENTENCE_ENDS)
        near_limit = any(
            limit - 5 <= len(text) <= limit for limit in (*_TWEET_LIMITS, *length_limits)
        ) and end.endswith("…")
        if _CUT_URL.search(end) or _READ_MORE.search(end) or at_limit or near_limit:
            truncated.append([rows.describe(row) | {"characters": len(text)}])
        elif _ELLIPSIS.search(end):
            open_ended.append([rows.describe(row)])
    limits_note = "".join(f"; many have exactly {limit} characters" for limit in sorted(length_limits))
    remedy = "get the complete texts from their source; a cut text cannot be repaired"
    findings = [
        Finding("truncated", WARNING, f"texts that were probably cut off{limits_note}", remedy, truncated),
        Finding("open_ended", NOTE, "texts that end in an ellipsis", "read some: were they cut off?", open_ended),
    ]
    return [finding for finding in findings if finding.cases]


def _limits(lengths: Sequence[int]) -> set[int]:
    """Find the lengths at which texts were cut: many texts have exactly this length, few are close to it."""
    counts = np.bincount(lengths, minlength=max(lengths) + _NEIGHBOURS + 1)
    limits = set()
    for length in np.flatnonzero(counts >= _MIN_TEXTS).tolist():
        below = counts[max(0, length - _NEIGHBOURS) : length].mean() if length else 0
        above = counts[length + 1 : length + 1 + _NEIGHBOURS].mean()
        some_differ = counts[length] < 0.7 * len(lengths)
        if length >= _MIN_LIMIT and some_differ and counts[length] >= _MIN_RATIO * max(1, below, _MIN_RATIO * above):
            limits.add(length)
    return limits


def template_findings(rows: Rows) -> list[Finding]:
    """Find templates: many rows have the same skeleton of frequent words, or the same beginning.

    A skeleton is a text whose rare words are replaced by gaps: "why did the _ cross the _". A word is rare if fewer
    rows contain it than a template needs (5 % of all rows, at least 20).
    """
    min_rows = max(_MIN_ROWS, int(np.ceil(_MIN_SHARE * len(rows))))
    words = [_WORDS.findall(text.casefold()) for text in rows.texts]
    row_counts = Counter(word for row_words in words for word in set(row_words))
    skeletons: dict[str, list[int]] = defaultdict(list)
    beginnings: dict[str, list[int]] = defaultdict(list)
    for row, row_words in enumerate(words):
        parts = [word if row_counts[word] >= min_rows else "_" for word in row_words]
        if sum(part != "_" for part in parts) >= _MIN_FIXED_WORDS and "_" in parts:
            skeletons[" ".join(part for part, _ in groupby(parts, lambda part: part))].append(row)
        if len(row_words) > _PREFIX_WORDS:
            beginnings[f"{' '.join(row_words[:_PREFIX_WORDS])} …"].append(row)
    reported_rows: set[int] = set()
    cases = []
    for template, members in _largest(skeletons, min_rows) + _largest(beginnings, min_rows):
        if len(reported_rows.intersection(members)) < len(members) / 2:  # else already reported
            reported_rows.update(members)
            classes = Counter(rows.class_names[rows.labels[row]] for row in members)
            summary = {
                "template": template,
                "rows": len(members),
                "classes": ", ".join(f"{name} {count}" for name, count in classes.items()),
            }
            shown = members[:_SHOWN]
            cases.append([rows.describe(row) | (summary if row == shown[0] else {}) for row in shown])
    remedy = "keep few rows of each, or report them with every score: a model learns the template"
    return [Finding("templates", NOTE, "templates that many texts are made from", remedy, cases)] if cases else []


def _largest(groups: dict[str, list[int]], min_rows: int) -> list[tuple[str, list[int]]]:
    """Groups of at least ``min_rows`` rows, largest first."""
    return sorted(
        ((name, rows) for name, rows in groups.items() if len(rows) >= min_rows), key=lambda item: -len(item[1])
    )
