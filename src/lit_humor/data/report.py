"""Counts what is in the data, before training starts."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from lit_humor.core.errors import UserError
from lit_humor.data.dividing.ordering import describe_curriculum
from lit_humor.data.dividing.similarity import normalise
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.preparation import Prepared
from lit_humor.data.settings import DataSettings
from lit_humor.data.targets import notes_on_targets

PERCENTILES = (50, 90, 99, 100)


def data_report(
    splits: Mapping[str, Examples], prepared: Mapping[str, Prepared], settings: DataSettings, order: np.ndarray | None
) -> dict[str, Any]:
    """Describe the data: counts, order of training, and a fingerprint of all of it.

    Args:
        splits: The rows.
        prepared: The same rows as the model reads them.
        settings: The settings of the data.
        order: [N] positions of the training rows if every epoch has the same order; otherwise None.

    Raises:
        UserError: A text is in two splits, and ``settings.leaks`` is ``error``.
    """
    counts = count_rows(splits, prepared)
    if settings.leaks == "error":
        refuse_leaks(counts["leaks"])
    return counts | {
        "fingerprint": fingerprint(splits, prepared, order),
        "curriculum": describe_curriculum(settings),
        "notes": notes_on_targets(splits),
    }


def count_rows(splits: Mapping[str, Examples], prepared: Mapping[str, Prepared]) -> dict[str, Any]:
    """Count rows, classes, languages, lengths, truncated rows and exact duplicates.

    Two rows are duplicates if their texts are equal up to case, white space and punctuation, and their pictures.

    Returns:
        ``splits``: for each split its rows, classes, slices, tokens of a row at percentiles, truncated rows,
        duplicates within; ``leaks``: texts that are in two splits, by pair of splits; ``label_conflicts``: texts
        with two labels, in any split; ``groups_across``: groups with rows in two splits; ``files``: lines and
        rows of each file that was read.
    """
    texts = {name: _contents(examples) for name, examples in splits.items()}
    distinct = {name: set(split_texts) for name, split_texts in texts.items()}
    report: dict[str, Any] = {"splits": {}, "leaks": {}}
    report["label_conflicts"] = _several(
        pair for name, examples in splits.items() for pair in zip(texts[name], examples.labels.tolist(), strict=True)
    )
    files = {examples.file.path: examples.file for examples in splits.values() if examples.file is not None}
    report["files"] = [asdict(file) | {"summary": file.describe()} for file in files.values()]
    report["groups_across"] = _several(
        (group, name) for name, examples in splits.items() for group in examples.groups or ()
    )
    for name, examples in splits.items():
        counts = np.bincount(examples.labels, minlength=len(examples.class_names))
        lengths = prepared[name].lengths
        report["splits"][name] = {
            "origin": examples.origin,
            "rows": len(examples),
            "classes": dict(zip(examples.class_names, counts.tolist(), strict=False)),
            "slices": {key: dict(Counter(map(str, values))) for key, values in examples.slices.items()},
            "tokens": {f"p{p}": int(np.percentile(lengths, p)) for p in PERCENTILES},
            "truncated": prepared[name].num_truncated,
            "duplicates": len(examples) - len(distinct[name]),
        }
    for first, second in combinations(splits, 2):
        report["leaks"][f"{first}/{second}"] = len(distinct[first] & distinct[second])
    return report


def refuse_leaks(leaks: Mapping[str, int]) -> None:
    """Refuse texts that are in two splits.

    Args:
        leaks: Number of such texts by pair of splits.

    Raises:
        UserError: There is such a text.
    """
    if any(leaks.values()):
        counts = ", ".join(f"{count} in {pair.replace('/', ' and ')}" for pair, count in leaks.items() if count)
        raise UserError(
            "data.leaks",
            found=f"texts that are in two splits: {counts}",
            expected="every text in one split",
            fix="python src/lit_humor/audit.py ... fix=<new folder> leaves them out, or set data.leaks=report",
        )


def fingerprint(
    splits: Mapping[str, Examples], prepared: Mapping[str, Prepared], fixed_order: np.ndarray | None
) -> str:
    """Return a hash of all that a model reads, labels, answers and a fixed order.

    A run resumes only with data of that hash.
    """
    digest = hashlib.sha256()
    for name, rows in prepared.items():
        rows.update_digest(digest)
        targets = splits[name].targets
        for array in (splits[name].labels, *(() if targets is None else (targets,))):
            digest.update(np.ascontiguousarray(array).data)
        if (answers := splits[name].answers) is not None:
            answers.update_digest(digest)
    if fixed_order is not None:
        digest.update(fixed_order.data)
    return digest.hexdigest()


def _contents(examples: Examples) -> list[tuple[str, int]]:
    """Return what is equal for duplicates: the text, and a key of the picture, if any."""
    keys = [0] * len(examples) if examples.pictures is None else examples.pictures.keys.tolist()
    return [(normalise(text), key) for text, key in zip(examples.whole_texts(), keys, strict=True)]


def _several(pairs: Iterable[tuple[object, object]]) -> int:
    """Count the keys that have more than one value."""
    values: dict[object, set[object]] = defaultdict(set)
    for key, value in pairs:
        values[key].add(value)
    return sum(len(values_of_key) > 1 for values_of_key in values.values())
