"""What tells the class without a word being read: the form of a text, its place in the file, and unread columns.

Legend: N rows, C classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lit_humor.auditing.rows import WARNING, Finding, Rows
from lit_humor.data.examples import Examples, Reading
from lit_humor.data.reading.tables import FILE, LINE
from lit_humor.metrics.label_errors import wilson_lower

_LEAST = 10  # rows of a class, from which on it is judged
_BINS = 20  # of a number, and values of anything else, the most frequent ones
_FOLDS = 5
_SEED = 0
_MARKS = re.compile(r"[^\w\s]")
_OTHER, _NONE = "another value", "empty"

# Of a text. What is a text here is a value of its own; a number is put into bins.
_OF_A_TEXT: dict[str, Callable[[str], float | str]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "first character": lambda text: text[:1],
    "last character": lambda text: text[-1:],
    "share of capitals": lambda text: round(sum(map(str.isupper, text)) / max(1, sum(map(str.isalpha, text))), 3),
    "digits": lambda text: sum(map(str.isdigit, text)),
    "line breaks": lambda text: text.count("\n"),
    "marks": lambda text: len(_MARKS.findall(text)),
    "characters outside ASCII": lambda text: len(text) - len(text.encode("ascii", "ignore")),
    "blanks too many": lambda text: len(text) - len(" ".join(text.split())),
}


def shape_findings(rows: Rows, splits: Mapping[str, Examples], readings: Mapping[str, Reading]) -> list[Finding]:
    """Tell features that alone tell the classes, without any word.

    A feature's values (a number's in 20 bins) each answer the class that has more than its share of them, for rows that
    did not vote (5 folds). A finding is one whose balanced accuracy lies, with the lower end of its 95 % interval, more
    than halfway between chance and 1. Classes of fewer than 10 rows are left out. Price: linear in the rows.

    Args:
        rows: All rows.
        splits: The same by split, with second texts apart.
        readings: The tables that they were read from.
    """
    counts = np.bincount(rows.labels, minlength=len(rows.class_names))
    judged = np.isin(rows.labels, np.flatnonzero(counts >= _LEAST))
    classes, labels = np.unique(rows.labels[judged], return_inverse=True)
    if len(classes) < 2:
        return []
    features = _of_texts(splits) | _of_places(splits, len(classes)) | _of_columns(splits, readings)
    found: dict[str, dict[str, Any]] = {}
    for name, values in features.items():
        names, codes = _codes([value for value, kept in zip(values, judged, strict=True) if kept])
        recalls = _recalls(codes, labels)
        sizes = np.bincount(labels)
        lower = float(np.mean([wilson_lower(share, size) for share, size in zip(recalls, sizes, strict=True)]))
        upper = float(np.mean([1 - wilson_lower(1 - share, size) for share, size in zip(recalls, sizes, strict=True)]))
        subject = name.partition(":")[0]
        score = float(np.mean(recalls))
        if (
            lower > (1 + 1 / len(classes)) / 2
            and score > found.get(subject, {"balanced_accuracy": 0})["balanced_accuracy"]
        ):
            usual = {rows.class_names[c]: names[_most_typical(codes, labels, i)] for i, c in enumerate(classes)}
            found[subject] = {
                "text": f"{name}: {'; '.join(f'{label}: {value}' for label, value in usual.items())}",
                "balanced_accuracy": round(score, 3),
                "interval": [round(lower, 3), round(upper, 3)],
                "chance": round(1 / len(classes), 3),
            }
    cases = [[case] for case in sorted(found.values(), key=lambda case: -case["balanced_accuracy"])]
    title = "features of form, place or unread columns that alone tell the class"
    remedy = "trim or mix the classes until it tells no more, never let a model read it, or say so beside every number"
    return [Finding("shape_leaks", WARNING, title, remedy, cases)] if cases else []


def _of_texts(splits: Mapping[str, Examples]) -> dict[str, Sequence[Any]]:
    texts = [text for examples in splits.values() for text in examples.texts]
    found: dict[str, Sequence[Any]] = {f"text, {what}": list(map(of, texts)) for what, of in _OF_A_TEXT.items()}
    if any(examples.text_pairs for examples in splits.values()):
        pairs = [text for examples in splits.values() for text in examples.text_pairs or [""] * len(examples)]
        found["second text: filled"] = ["filled" if text.strip() else _NONE for text in pairs]
        found |= {f"second text: {what}": list(map(of, pairs)) for what, of in _OF_A_TEXT.items()}
    return found


def _of_places(splits: Mapping[str, Examples], num_classes: int) -> dict[str, Sequence[Any]]:
    """Where a row stands: how far down in its file, and its row number by the remainders of small divisors."""
    places = [(row, len(examples)) for examples in splits.values() for row in range(len(examples))]
    found: dict[str, Sequence[Any]] = {"place in the file": [round(row / total, 4) for row, total in places]}
    for divisor in sorted({2, num_classes}):
        found[f"row number modulo {divisor}"] = [str(row % divisor) for row, _ in places]
    return found


def _of_columns(splits: Mapping[str, Examples], readings: Mapping[str, Reading]) -> dict[str, Sequence[Any]]:
    """Columns that the model does not read: filled or not, as numbers, as values, or by how their values are made."""
    tables = [readings[examples.origin] for examples in splits.values() if examples.origin in readings]
    if len(tables) < len(splits):
        return {}
    names = dict.fromkeys(name for reading in tables for name in reading.table)
    read = {FILE, LINE, *(name for reading in tables for name in reading.read_columns)}
    found: dict[str, Sequence[Any]] = {}
    for name in names:
        if name in read:
            continue
        values = [
            value
            for reading in tables
            for row in reading.kept()
            for value in (reading.table[name][row] if name in reading.table else None,)
        ]
        texts = ["" if value is None else str(value).strip() for value in values]
        found[f"column '{name}': filled"] = ["filled" if text else _NONE for text in texts]
        numbers = _numbers(texts)
        if numbers is not None:
            found[f"column '{name}': number"] = numbers
        found[f"column '{name}': value"] = texts
        found[f"column '{name}': first character"] = [text[:1] for text in texts]
        found[f"column '{name}': last character"] = [text[-1:] for text in texts]
    return found


def _numbers(texts: Sequence[str]) -> list[float] | None:
    """As numbers, nan where empty; None where one is none."""
    try:
        return [float(text) if text else np.nan for text in texts]
    except ValueError:
        return None


def _codes(values: Sequence[Any]) -> tuple[list[str], np.ndarray]:
    """What each code stands for, and [N] codes."""
    if all(isinstance(value, (int, float)) for value in values):
        numbers = np.asarray(values, dtype=float)
        known = np.isfinite(numbers)
        different = np.unique(numbers[known])
        if len(different) > _BINS:
            different = np.unique(np.quantile(numbers[known], np.arange(_BINS) / _BINS, method="lower"))
        bins = np.maximum(np.searchsorted(different, numbers, side="right") - 1, 0)
        codes = np.where(known, bins, len(different))
        edges = [
            f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in _ranges(numbers, codes, different)
        ]
        return [*edges, _NONE], codes
    frequent = [value for value, _ in Counter(values).most_common(_BINS)]
    index = {value: code for code, value in enumerate(frequent)}
    names = [repr(value) if value else _NONE for value in frequent]
    return [*names, _OTHER], np.asarray([index.get(value, len(frequent)) for value in values])


def _ranges(numbers: np.ndarray, codes: np.ndarray, different: np.ndarray) -> list[tuple[float, float]]:
    return [(inside.min(), inside.max()) for code in range(len(different)) for inside in (numbers[codes == code],)]


def _recalls(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[C] share of each class's rows that the feature answers right, cross-validated."""
    order = np.random.default_rng(_SEED).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # each class is dealt to the folds in turn
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % _FOLDS
    right = np.zeros(len(labels), dtype=bool)
    for fold in range(_FOLDS):
        train, held_out = folds != fold, folds == fold
        answers = _votes(codes[train], labels[train], int(codes.max()) + 1).argmax(axis=1)
        right[held_out] = answers[codes[held_out]] == labels[held_out]
    return np.bincount(labels, weights=right) / np.bincount(labels)


def _votes(codes: np.ndarray, labels: np.ndarray, num_codes: int) -> np.ndarray:
    """[K, C] share of each class's rows that have a code."""
    counts = np.bincount(labels)
    votes = np.zeros((num_codes, len(counts)))
    np.add.at(votes, (codes, labels), 1 / counts[labels])
    return votes


def _most_typical(codes: np.ndarray, labels: np.ndarray, label: int) -> int:
    """The code that most more of a class's rows have than of the others."""
    votes = _votes(codes, labels, int(codes.max()) + 1)
    return int((votes[:, label] - np.delete(votes, label, axis=1).max(axis=1)).argmax())
