"""Compares each variant of a plan with the variant that it changes: paired tests, corrected for their number; costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from lit_humor.pages.page import Grid
from lit_humor.reporting.evidence import Evidence, read_run
from lit_humor.reporting.kinds import find_module
from lit_humor.runs import record
from lit_humor.sweeps.planned_runs import PlannedRun

_COSTS = {"time": "fit_seconds", "memory": "peak_memory_bytes"}
_UNKNOWN = (math.nan, math.nan, math.nan)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that are corrected for the number of tests; nan, a test that was not made, stays nan.

    Formula, for the k-th smallest of m: the largest ``(m - i + 1) * p_i`` of all i up to k, at most 1.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    order = sorted((place for place, p in enumerate(p_values) if not math.isnan(p)), key=lambda place: p_values[place])
    corrected, largest = list(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(order) - rank) * p_values[place])
        corrected[place] = min(largest, 1.0)
    return corrected


def paired_difference(values: Mapping[int, float], base: Mapping[int, float]) -> tuple[float, float]:
    """Return the mean difference over common repeats, and the two-sided p of a paired t test; nan if not defined."""
    shared = sorted(values.keys() & base.keys())
    differences = [values[repeat] - base[repeat] for repeat in shared]
    if not differences:
        return math.nan, math.nan
    if len(shared) < 2 or statistics.stdev(differences) == 0:
        return statistics.mean(differences), math.nan
    return statistics.mean(differences), float(stats.ttest_1samp(differences, 0.0).pvalue)


def compare(done: Sequence[tuple[PlannedRun, Path]], bases: Mapping[str, str]) -> Grid:
    """Return a table with a row for each variant that is done, and its difference to the variant that it changes.

    Args:
        done: Runs that are done, with their folders.
        bases: Labels of the variants, with that of the variant to compare with.
    """
    folders: dict[str, dict[int, Path]] = {}
    for run, folder in done:
        folders.setdefault(run.variant, {})[run.repeat] = folder
    runs: dict[Path, Evidence] = {}
    score = record.read_tasks(done[0][1]).score
    rows, tests = [], []
    for variant, base in bases.items():
        both = sorted(folders.get(variant, {}).keys() & folders.get(base, {}).keys())
        if not both:
            continue
        pairs = [
            tuple(runs.setdefault(folder, read_run(folder)) for folder in (folders[base][one], folders[variant][one]))
            for one in both
        ]
        values = [{one: _score(pair[side], score) for one, pair in zip(both, pairs, strict=True)} for side in (0, 1)]
        difference, p_seeds = paired_difference(values[1], values[0])
        low, high, p_rows = _bootstrap(score, pairs)
        tests.append((p_seeds, p_rows))
        ends = "" if math.isnan(low) else f"{low:+.3f} to {high:+.3f}"
        costs = [_factor(pairs, key) for key in _COSTS.values()]
        rows.append([variant, base, str(len(both)), f"{difference:+.4f}", ends, *costs])
    corrected = [holm(column) for column in zip(*tests, strict=True)] if tests else []
    for place, row in enumerate(rows):
        row[5:5] = ["" if math.isnan(column[place]) else f"{column[place]:.3f}" for column in corrected]
    columns = ["variant", "compared with", "runs", score, "95 %", "p, runs", "p, rows", *_COSTS]
    return Grid("Comparisons", columns, rows, _note(score, len(rows)))


def _note(score: str, count: int) -> str:
    return (
        f"{score}: mean difference to the variant compared with. 95 %: bootstrap over rows, the same for all runs. "
        f"p, runs: paired t test over repeats; p, rows: by the bootstrap; both after Holm's correction for {count} "
        "comparisons. Time of training and peak memory: as factors; early stopping and other programs change the time."
    )


def _score(run: Evidence, score: str) -> float:
    return float(run.results[run.headline][score])


def _bootstrap(score: str, pairs: Sequence[Any]) -> tuple[float, float, float]:
    """Return both ends of the interval and p; nan for a kind of task that has no such comparison."""
    module = find_module(pairs[0][0].tasks.kinds[0], "comparison")
    if not hasattr(module, "mean_difference"):
        return _UNKNOWN
    kind = pairs[0][0].tasks.kinds[0]
    seen = [(first.of_kind(kind), second.of_kind(kind)) for first, second in pairs]
    return module.mean_difference(pairs[0][0].headline, score, seen) or _UNKNOWN  # type: ignore[union-attr]


def _factor(pairs: Sequence[Any], key: str) -> str:
    """Return a mean cost of the variant, divided by that of the variant compared with."""
    costs = [[run.result.get(key) for run in runs] for runs in zip(*pairs, strict=True)]
    if not all(value for side in costs for value in side):
        return ""
    return f"{statistics.mean(costs[1]) / statistics.mean(costs[0]):.2f}"
