"""Finds features that predict the class without any word: form of a text, position in the file, unused columns.

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

_MIN_CLASS_ROWS = 10  # smaller classes are left out
_MAX_BINS = 20  # bins of a numeric feature; of another feature, most frequent values
_FOLDS = 5
_SEED = 0
_PUNCTUATION = re.compile(r"[^\w\s]")
_OTHER_VALUE, _EMPTY = "another value", "empty"

# Features of a text. Strings are categories; numbers are put into bins.
_TEXT_FEATURES: dict[str, Callable[[str], float | str]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "first character": lambda text: text[:1],
    "last character": lambda text: text[-1:],
    "share of capitals": lambda text: round(sum(map(str.isupper, text)) / max(1, sum(map(str.isalpha, text))), 3),
    "digits": lambda text: sum(map(str.isdigit, text)),
    "line breaks": lambda text: text.count("\n"),
    "punctuation marks": lambda text: len(_PUNCTUATION.findall(text)),
    "characters outside ASCII": lambda text: len(text) - len(text.encode("ascii", "ignore")),
    "extra spaces": lambda text: len(text) - len(" ".join(text.split())),
}


def shape_findings(rows: Rows, splits: Mapping[str, Examples], readings: Mapping[str, Reading]) -> list[Finding]:
    """Find single features that predict the class without any word.

    Each value of a feature (numbers in 20 bins) predicts the class in which it is most frequent, in 5-fold
    cross-validation.
    A feature is reported if its balanced accuracy, at the lower end of the 95 % interval, is more than halfway between
    chance and 1. Classes of fewer than 10 rows are left out. Cost: linear in the number of rows.

    Args:
        rows: All rows.
        splits: The same rows by split, with separate second texts.
        readings: The tables that the rows were read from, by origin.
    """
    counts = np.bincount(rows.labels, minlength=len(rows.class_names))
    judged = np.isin(rows.labels, np.flatnonzero(counts >= _MIN_CLASS_ROWS))
    classes, labels = np.unique(rows.labels[judged], return_inverse=True)
    if len(classes) < 2:
        return []
    features = _text_features(splits) | _position_features(splits, len(classes)) | _column_features(splits, readings)
    best_by_subject: dict[str, dict[str, Any]] = {}
    for name, values in features.items():
        names, codes = _encode([value for value, is_judged in zip(values, judged, strict=True) if is_judged])
        recalls = _cross_validated_recalls(codes, labels)
        sizes = np.bincount(labels)
        lower = float(np.mean([wilson_lower(share, size) for share, size in zip(recalls, sizes, strict=True)]))
        upper = float(np.mean([1 - wilson_lower(1 - share, size) for share, size in zip(recalls, sizes, strict=True)]))
        subject = name.partition(":")[0]
        score = float(np.mean(recalls))
        if (
            lower > (1 + 1 / len(classes)) / 2
            and score > best_by_subject.get(subject, {"balanced_accuracy": 0})["balanced_accuracy"]
        ):
            typical_values = {
                rows.class_names[c]: names[_most_typical(codes, labels, i)] for i, c in enumerate(classes)
            }
            best_by_subject[subject] = {
                "text": f"{name}: {'; '.join(f'{label}: {value}' for label, value in typical_values.items())}",
                "balanced_accuracy": round(score, 3),
                "interval": [round(lower, 3), round(upper, 3)],
                "chance": round(1 / len(classes), 3),
            }
    cases = [[case] for case in sorted(best_by_subject.values(), key=lambda case: -case["balanced_accuracy"])]
    title = "features of form, position or unused columns that predict the class alone"
    remedy = "balance the classes in this feature, keep it out of what a model reads, or report it with every score"
    return [Finding("shape_leaks", WARNING, title, remedy, cases)] if cases else []


def _text_features(splits: Mapping[str, Examples]) -> dict[str, Sequence[Any]]:
    texts = [text for examples in splits.values() for text in examples.texts]
    features: dict[str, Sequence[Any]] = {
        f"text, {name}": list(map(feature, texts)) for name, feature in _TEXT_FEATURES.items()
    }
    if any(examples.text_pairs for examples in splits.values()):
        pairs = [text for examples in splits.values() for text in examples.text_pairs or [""] * len(examples)]
        features["second text: filled"] = ["filled" if text.strip() else _EMPTY for text in pairs]
        features |= {f"second text: {name}": list(map(feature, pairs)) for name, feature in _TEXT_FEATURES.items()}
    return features


def _position_features(splits: Mapping[str, Examples], num_classes: int) -> dict[str, Sequence[Any]]:
    """Features of a row's position: relative position in its split, and remainders of its row number."""
    places = [(row, len(examples)) for examples in splits.values() for row in range(len(examples))]
    features: dict[str, Sequence[Any]] = {"position in the file": [round(row / total, 4) for row, total in places]}
    for divisor in sorted({2, num_classes}):
        features[f"row number modulo {divisor}"] = [str(row % divisor) for row, _ in places]
    return features


def _column_features(splits: Mapping[str, Examples], readings: Mapping[str, Reading]) -> dict[str, Sequence[Any]]:
    """Features of the columns that the model does not read: filled, number, value, first and last character."""
    tables = [readings[examples.origin] for examples in splits.values() if examples.origin in readings]
    if len(tables) < len(splits):
        return {}
    names = dict.fromkeys(name for reading in tables for name in reading.table)
    columns_read = {FILE, LINE, *(name for reading in tables for name in reading.read_columns)}
    features: dict[str, Sequence[Any]] = {}
    for name in names:
        if name in columns_read:
            continue
        values = [
            value
            for reading in tables
            for row in reading.kept()
            for value in (reading.table[name][row] if name in reading.table else None,)
        ]
        texts = ["" if value is None else str(value).strip() for value in values]
        features[f"column '{name}': filled"] = ["filled" if text else _EMPTY for text in texts]
        numbers = _numbers(texts)
        if numbers is not None:
            features[f"column '{name}': number"] = numbers
        features[f"column '{name}': value"] = texts
        features[f"column '{name}': first character"] = [text[:1] for text in texts]
        features[f"column '{name}': last character"] = [text[-1:] for text in texts]
    return features


def _numbers(texts: Sequence[str]) -> list[float] | None:
    """Return the texts as numbers (nan for an empty text), or None if one of them is no number."""
    try:
        return [float(text) if text else np.nan for text in texts]
    except ValueError:
        return None


def _encode(values: Sequence[Any]) -> tuple[list[str], np.ndarray]:
    """Return the name of each code, and [N] codes of the values."""
    if all(isinstance(value, (int, float)) for value in values):
        numbers = np.asarray(values, dtype=float)
        known = np.isfinite(numbers)
        bin_starts = np.unique(numbers[known])
        if len(bin_starts) > _MAX_BINS:
            bin_starts = np.unique(np.quantile(numbers[known], np.arange(_MAX_BINS) / _MAX_BINS, method="lower"))
        bins = np.maximum(np.searchsorted(bin_starts, numbers, side="right") - 1, 0)
        codes = np.where(known, bins, len(bin_starts))
        edges = [
            f"{low:g}" if low == high else f"{low:g} to {high:g}"
            for low, high in _bin_ranges(numbers, codes, bin_starts)
        ]
        return [*edges, _EMPTY], codes
    frequent = [value for value, _ in Counter(values).most_common(_MAX_BINS)]
    index = {value: code for code, value in enumerate(frequent)}
    names = [repr(value) if value else _EMPTY for value in frequent]
    return [*names, _OTHER_VALUE], np.asarray([index.get(value, len(frequent)) for value in values])


def _bin_ranges(numbers: np.ndarray, codes: np.ndarray, bin_starts: np.ndarray) -> list[tuple[float, float]]:
    """Smallest and largest number in each bin."""
    return [
        (numbers_in_bin.min(), numbers_in_bin.max())
        for code in range(len(bin_starts))
        for numbers_in_bin in (numbers[codes == code],)
    ]


def _cross_validated_recalls(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the cross-validated recall of each class, [C], when the feature alone predicts it."""
    order = np.random.default_rng(_SEED).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # rows of each class go to the folds in turn
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % _FOLDS
    is_correct = np.zeros(len(labels), dtype=bool)
    for fold in range(_FOLDS):
        train, held_out = folds != fold, folds == fold
        answers = _class_shares_by_code(codes[train], labels[train], int(codes.max()) + 1).argmax(axis=1)
        is_correct[held_out] = answers[codes[held_out]] == labels[held_out]
    return np.bincount(labels, weights=is_correct) / np.bincount(labels)


def _class_shares_by_code(codes: np.ndarray, labels: np.ndarray, num_codes: int) -> np.ndarray:
    """Return the share of each class's rows that have each code, [K, C]."""
    counts = np.bincount(labels)
    shares = np.zeros((num_codes, len(counts)))
    np.add.at(shares, (codes, labels), 1 / counts[labels])
    return shares


def _most_typical(codes: np.ndarray, labels: np.ndarray, label: int) -> int:
    """Return the code whose share in a class exceeds its share in every other class the most."""
    shares = _class_shares_by_code(codes, labels, int(codes.max()) + 1)
    return int((shares[:, label] - np.delete(shares, label, axis=1).max(axis=1)).argmax())
