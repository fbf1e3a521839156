"""Plans that compare tricks: which runs there are, and whether a difference is more than chance."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lit_humor.core.errors import UserError
from lit_humor.metrics.confusion import bootstrap_mean_difference
from lit_humor.runs import record
from lit_humor.sweeps.comparing import compare, holm
from lit_humor.sweeps.planned_runs import PlannedRun
from lit_humor.sweeps.tricks import with_tricks
from tests.unit.test_reporting import make_run

TRICKS = {"a": ["x=1"], "b": ["y=1", "y=2"], "c": ["z={parent}"]}


def test_one_more_and_one_less() -> None:
    plan = with_tricks({"v3": ["n=0"], "without": ["w=0"]}, TRICKS, ["a", "c"])
    assert plan.variants == {
        "v3": ["n=0"],
        "without": ["w=0"],
        "+ a": ["n=0", "x=1"],
        "+ b": ["n=0", "y=1", "y=2"],
        "+ c": ["n=0", "z={parent}"],
        "together": ["n=0", "x=1", "z={parent}"],
        "together - a": ["n=0", "z={parent}"],
        "together - c": ["n=0", "x=1"],
    }
    assert plan.after == dict.fromkeys(("+ c", "together", "together - a"), "v3")
    less = dict.fromkeys(("together - a", "together - c"), "together")
    assert plan.bases == dict.fromkeys(("without", "+ a", "+ b", "+ c", "together"), "v3") | less
    assert "together" not in with_tricks({"v3": []}, TRICKS, []).variants
    with pytest.raises(UserError, match=r"together: found d, expected names of tricks: a, b, c. Fix: set .together="):
        with_tricks({"v3": []}, TRICKS, ["a", "d"])


def test_holm() -> None:
    """The example of the article's text books: 4, 3, 2 and 1 times, and never below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.6])[::2] == [1.0, 1.0]
    assert math.isnan(holm([0.5, math.nan])[1])
    assert holm([0.2]) == [0.2]


def _answers(generator: np.random.Generator, labels: np.ndarray, right: float, runs: int) -> np.ndarray:
    is_right = generator.random((runs, len(labels))) < right
    return np.where(is_right, labels, 1 - labels)


def test_the_bootstrap_resamples_rows_of_all_runs_together() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 200)
    first, second = _answers(generator, labels, 0.8, 3), _answers(generator, labels, 0.82, 3)
    gaps = []
    for _ in range(2000):
        rows = generator.integers(0, 200, 200)
        f1 = [np.mean([f1_score(labels[rows], one[rows]) for one in side]) for side in (first, second)]
        gaps.append(f1[1] - f1[0])
    low, high, p = bootstrap_mean_difference(labels, first, second, 2)["f1"]
    assert (low, high) == pytest.approx(np.quantile(gaps, (0.025, 0.975)), abs=0.006)
    expected = 2 * min(np.mean(np.asarray(gaps) <= 0), np.mean(np.asarray(gaps) >= 0))
    assert expected > 0.1
    assert p == pytest.approx(expected, abs=0.05)
    same = bootstrap_mean_difference(labels, first, np.concatenate([first[:2], first[2:]]), 2)["f1"]
    assert same == (0.0, 0.0, 1.0)


def test_a_table_of_comparisons(tmp_path: Path) -> None:
    done = []
    for variant, seeds, seconds in (("v3", (1, 2, 3), 10), ("+ a", (4, 5, 6), 25), ("+ b", (1, 2, 3), 10)):
        for repeat, seed in enumerate(seeds, start=1):
            folder = make_run(tmp_path / f"{variant}-{repeat}", seed)
            result = record.read_json(folder / record.RESULT)
            costs = {"fit_seconds": seconds, "peak_memory_bytes": 100}
            record.write_json(folder / record.RESULT, result | costs)
            done.append((PlannedRun(variant, repeat, ()), folder))
    table = compare(done, {"+ a": "v3", "+ b": "v3", "+ c": "v3"})
    assert [row[0] for row in table.rows] == ["+ a", "+ b"], "the third has not run"
    first, second = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    found = [record.read_json(folder / record.RESULT)["results"]["test"]["f1"] for _, folder in done]
    scores = found[:3], found[3:6]
    assert float(first["f1"]) == pytest.approx(np.mean(scores[1]) - np.mean(scores[0]), abs=1e-4)
    assert (first["time"], first["memory"], first["runs"]) == ("2.50", "1.00", "3")
    assert (second["f1"], second["95 %"]) == ("+0.0000", "+0.000 to +0.000")
    assert (second["p, rows"], second["p, runs"]) == ("1.000", "")
    assert "for 2 comparisons" in table.note
