"""Texts that were cut off, and texts made from one template."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from lit_humor.auditing.rows import NOTE, WARNING, Finding, Rows

_ELLIPSIS = re.compile(r"(?:…|\.{3,}|\. \. \.)[\"'”’»)]*$")
_CUT_ADDRESS = re.compile(
    r"(?:…|\.\.\.)\s*https?://\S*$|https?://\S*(?:…|\.\.\.)$|(?<!\w)https?:/{1,2}(?:t(?:\.(?:co?/?)?)?)?$"
    r"|pic\.twitter\.co?m?/?$",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"[\[(]\s*(?:…|\.\.\.|(?:(?:read|show|see)\s+)?more|cont(?:\.|inued)?|truncated)\s*[\])]$"
    r"|(?:…|\.\.\.)\s*(?:(?:read|show|see)\s+)?more$|[\r\n]\s*(?:read|show|see) more$",
    re.IGNORECASE,
)
_ENDS = tuple(".!?…\"'”’»)]。！？」؟।")
_LIMITS = (140, 280)  # characters of a tweet, once and now
_SHORTEST_LIMIT = 50
_NEIGHBOURS = 10  # lengths on either side that a heap is held against
_HEAP, _TIMES = 20, 5  # texts of one length, and how much more often than of those below, that speak of a limit

_WORDS = re.compile(r"\w+(?:['’]\w+)?")
_BEGINNING, _FIXED = 3, 4  # words at the beginning that are alike; words that a template has at least
_SHARE, _ROWS = 0.05, 20  # of all rows, and rows, that a template has at least
_SHOWN = 3


def truncation_findings(rows: Rows, first_texts: Sequence[str]) -> list[Finding]:
    """Tell texts whose end is probably lost, and texts that end in an ellipsis, which a writer may have meant.

    Args:
        rows: All rows.
        first_texts: [N] texts without the second ones, which would hide their ends.
    """
    limits = _limits([len(text) for text in first_texts])
    cut, open_ended = [], []
    for row, text in enumerate(first_texts):
        end = text.rstrip()
        at_limit = len(text) in limits and not end.endswith(_ENDS)
        near_limit = any(limit - 5 <= len(text) <= limit for limit in (*_LIMITS, *limits)) and end.endswith("…")
        if _CUT_ADDRESS.search(end) or _MORE.search(end) or at_limit or near_limit:
            cut.append([rows.describe(row) | {"characters": len(text)}])
        elif _ELLIPSIS.search(end):
            open_ended.append([rows.describe(row)])
    heaps = "".join(f"; many have exactly {limit} characters" for limit in sorted(limits))
    remedy = "take the whole texts from where they came from; none can be mended here"
    found = [
        Finding("truncated", WARNING, f"texts that were probably cut off{heaps}", remedy, cut),
        Finding("open_ended", NOTE, "texts that end in an ellipsis", "read some: were they cut off?", open_ended),
    ]
    return [finding for finding in found if finding.cases]


def _limits(lengths: Sequence[int]) -> set[int]:
    """Lengths at which texts were cut: many have just this one, few are a little longer or shorter."""
    counts = np.bincount(lengths, minlength=max(lengths) + _NEIGHBOURS + 1)
    found = set()
    for length in np.flatnonzero(counts >= _HEAP).tolist():
        below = counts[max(0, length - _NEIGHBOURS) : length].mean() if length else 0
        above = counts[length + 1 : length + 1 + _NEIGHBOURS].mean()
        some_differ = counts[length] < 0.7 * len(lengths)
        if length >= _SHORTEST_LIMIT and some_differ and counts[length] >= _TIMES * max(1, below, _TIMES * above):
            found.add(length)
    return found


def template_findings(rows: Rows) -> list[Finding]:
    """Tell templates: one skeleton of common words, or one beginning, in many rows.

    A skeleton is a text whose rare words are gaps: "why did the _ cross the _". Rare is a word that stands in fewer
    rows than a template has at least, one in twenty.
    """
    least = max(_ROWS, int(np.ceil(_SHARE * len(rows))))
    words = [_WORDS.findall(text.casefold()) for text in rows.texts]
    spread = Counter(word for of_row in words for word in set(of_row))
    skeletons: dict[str, list[int]] = defaultdict(list)
    beginnings: dict[str, list[int]] = defaultdict(list)
    for row, of_row in enumerate(words):
        parts = [word if spread[word] >= least else "_" for word in of_row]
        if sum(part != "_" for part in parts) >= _FIXED and "_" in parts:
            skeletons[" ".join(part for part, _ in groupby(parts, lambda part: part))].append(row)
        if len(of_row) > _BEGINNING:
            beginnings[f"{' '.join(of_row[:_BEGINNING])} …"].append(row)
    told: set[int] = set()
    cases = []
    for template, members in _largest(skeletons, least) + _largest(beginnings, least):
        if len(told.intersection(members)) < len(members) / 2:  # else the same rows, told by their skeleton
            told.update(members)
            classes = Counter(rows.class_names[rows.labels[row]] for row in members)
            more = {
                "template": template,
                "rows": len(members),
                "classes": ", ".join(f"{name} {count}" for name, count in classes.items()),
            }
            shown = members[:_SHOWN]
            cases.append([rows.describe(row) | (more if row == shown[0] else {}) for row in shown])
    remedy = "keep few of each, or say so: a model learns the template"
    return [Finding("templates", NOTE, "templates that many texts are made from", remedy, cases)] if cases else []


def _largest(groups: dict[str, list[int]], least: int) -> list[tuple[str, list[int]]]:
    return sorted(((name, rows) for name, rows in groups.items() if len(rows) >= least), key=lambda one: -len(one[1]))
