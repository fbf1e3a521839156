"""Slice columns as numbers. Legend: N rows, S slice columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lit_humor.data.examples import Examples


def slice_values(splits: Mapping[str, Examples]) -> dict[str, list[str]]:
    """Return the sorted values of each slice column over all splits."""
    values: dict[str, set[str]] = {}
    for examples in splits.values():
        for name, column in examples.slices.items():
            values.setdefault(name, set()).update(value for value in column if value is not None)
    return {name: sorted(distinct) for name, distinct in values.items() if distinct}


def slice_codes(examples: Examples, values: Mapping[str, list[str]]) -> np.ndarray:
    """Return [N, S] int64, the index of each row's value in ``values``; -1 for a row without a value."""
    codes = np.full((len(examples), len(values)), -1, dtype=np.int64)
    for column, (name, known) in enumerate(values.items()):
        index = {value: code for code, value in enumerate(known)}
        if name in examples.slices:
            codes[:, column] = [-1 if value is None else index[value] for value in examples.slices[name]]
    return codes
