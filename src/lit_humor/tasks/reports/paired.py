"""What comparisons of two runs on the same rows share: paired intervals, McNemar's test, checks, tables.

Legend: N rows, M numbers of a row, R replicates. A and B are the first and the second run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from lit_humor.core.errors import UserError
from lit_humor.metrics.intervals import Scores, bootstrap_of_means
from lit_humor.pages.page import Grid
from lit_humor.tasks.reports.numbers import Ends, with_interval
from lit_humor.tasks.reports.scored import ScoredRun

_PAIRED = "95 % intervals in brackets: bootstrap over rows; of differences it is paired."


class Estimate(NamedTuple):
    """A number with the lower and the upper end of its 95 % interval."""

    value: float
    ends: Ends


class Compared(NamedTuple):
    """A score of A, of B, and B less A."""

    first: Estimate
    second: Estimate
    difference: Estimate


def check_rows(split: str, runs: tuple[ScoredRun, ScoredRun], names: Iterable[str], fix: str) -> None:
    """Check that two runs have the same values in some columns of a split, as far as both have these columns.

    Raises:
        UserError: They have not; ``fix`` is its remedy.
    """
    first, second = (run.predictions[split] for run in runs)
    if any(first[name] != second[name] for name in names if name in first and name in second):
        raise UserError("runs", found=f"other rows in {split}", expected="two runs scored on the same rows", fix=fix)


def compare_scores(first: np.ndarray, second: np.ndarray, scores: Scores) -> dict[str, Compared]:
    """Compute scores of two runs, which depend on means over rows alone, and their paired bootstrap intervals.

    Rows are resampled, the same for both runs in each replicate; see ``bootstrap_of_means``.

    Args:
        first: [N, M] numbers of the rows of A, at least one row.
        second: [N, M] the same of B.
        scores: Given means [R, M], returns scores [R] by name.
    """
    values, width = np.concatenate([first, second], axis=1), first.shape[1]

    def of_both(means: np.ndarray) -> dict[str, np.ndarray]:
        of_a, of_b = scores(means[:, :width]), scores(means[:, width:])
        of_gaps = {name: of_b[name] - of_a[name] for name in of_a}
        columns = zip(("first", "second", "difference"), (of_a, of_b, of_gaps), strict=True)
        return {f"{part}/{name}": found for part, of_part in columns for name, found in of_part.items()}

    ends, values_of_all = bootstrap_of_means(values, of_both), of_both(values.mean(axis=0)[None])
    parts: dict[str, dict[str, Estimate]] = {}
    for key, value in values_of_all.items():
        part, _, name = key.partition("/")
        parts.setdefault(name, {})[part] = Estimate(float(value[0]), ends[key])
    return {name: Compared(**estimates) for name, estimates in parts.items()}


def difference_grid(caption: str, compared: Mapping[str, Compared], names: Mapping[str, str], note: str = "") -> Grid:
    """Return a table of the scores of both runs, those of ``names`` that there are, with these names for people."""
    rows = [
        [names[key], with_interval(*a), with_interval(*b), with_interval(*gap, sign="+")]
        for key, (a, b, gap) in ((key, compared[key]) for key in names if key in compared)
    ]
    return Grid(caption, ["metric", "A", "B", "B less A"], rows, f"{_PAIRED} {note}".strip())


def differences_of(compared: Mapping[str, Compared]) -> dict[str, float]:
    """Return ``<name>_difference`` of each score, B less A, with ``<name>_low`` and ``<name>_high``, its interval."""
    gaps: dict[str, float] = {}
    for name, (_, _, (value, (low, high))) in compared.items():
        gaps |= {f"{name}_difference": value, f"{name}_low": low, f"{name}_high": high}
    return gaps


def differences_in_words(differences: Mapping[str, float], names: Mapping[str, str]) -> str:
    """Return results of ``differences_of`` as one line, those of ``names`` that there are."""
    return ", ".join(
        f"{shown} {with_interval(differences[f'{key}_difference'], ends, sign='+')}"
        for key, shown in names.items()
        if f"{key}_difference" in differences
        for ends in [(differences[f"{key}_low"], differences[f"{key}_high"])]
    )


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """Compute McNemar's exact test of whether two models are right equally often.

    Source: McNemar 1947; the exact binomial form.

    Args:
        first: [N] bool, whether the first model is right.
        second: [N] bool, whether the second model is right.

    Returns:
        Number of rows that only the first model has right, that only the second has right, and the two-sided p value.
    """
    from scipy.stats import binomtest

    alone = int((first & ~second).sum()), int((second & ~first).sum())
    return *alone, float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0


def mcnemar_grid(first: np.ndarray, second: np.ndarray, right: str = "is right") -> Grid:
    """Return a table of McNemar's test.

    Args:
        first: [N] bool, whether A is right.
        second: [N] bool, whether B is right.
        right: What being right is, in words.
    """
    only_first, only_second, p = mcnemar(first, second)
    return Grid(
        "McNemar's exact test",
        [f"only A {right}", f"only B {right}", "p"],
        [[str(only_first), str(only_second), f"{p:.4f}"]],
        "p: how often equally good models would differ this much on such rows; seeds are left out.",
    )
