"""What is in the data, counted before training starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from lit_humor.data.examples import Examples
from lit_humor.data.tokens import TokenStore

PERCENTILES = (50, 90, 99, 100)


def data_report(splits: Mapping[str, Examples], tokens: Mapping[str, TokenStore]) -> dict[str, Any]:
    """Count rows, classes, languages, lengths, truncated rows and exact duplicates.

    Two rows are duplicates if their texts are equal up to case and white space.

    Returns:
        ``splits``: for each split its rows, classes, slices, tokens of a row at percentiles, truncated rows,
        duplicates within; ``leaks``: texts that stand in two splits, by pair of splits.
    """
    texts = {name: Counter(map(_normalise, _whole_texts(examples))) for name, examples in splits.items()}
    report: dict[str, Any] = {"splits": {}, "leaks": {}}
    for name, examples in splits.items():
        counts = np.bincount(examples.labels, minlength=len(examples.class_names))
        lengths = tokens[name].lengths
        report["splits"][name] = {
            "origin": examples.origin,
            "rows": len(examples),
            "classes": dict(zip(examples.class_names, counts.tolist(), strict=True)),
            "slices": {key: dict(Counter(map(str, values))) for key, values in examples.slices.items()},
            "tokens": {f"p{p}": int(np.percentile(lengths, p)) for p in PERCENTILES},
            "truncated": tokens[name].num_truncated,
            "duplicates": len(examples) - len(texts[name]),
        }
    for first, second in combinations(splits, 2):
        report["leaks"][f"{first}/{second}"] = len(texts[first].keys() & texts[second].keys())
    return report


def _whole_texts(examples: Examples) -> list[str]:
    if examples.text_pairs is None:
        return examples.texts
    return [f"{text}\0{pair}" for text, pair in zip(examples.texts, examples.text_pairs, strict=True)]


def _normalise(text: str) -> str:
    return " ".join(text.casefold().split())
