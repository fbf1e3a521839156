"""Intervals of numbers of a split, against what is known of them."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, bootstrap, spearmanr

from lit_humor.metrics import intervals
from lit_humor.metrics.intervals import bootstrap_of_means, share_interval, spearman_interval
from lit_humor.metrics.label_counts import label_counts, scores_of_labels
from lit_humor.metrics.multilabel import MultiLabelMetrics
from lit_humor.tasks.reports.regression.comparison import differences, in_words
from lit_humor.tasks.reports.scored import ScoredRun


def test_the_bootstrap_is_that_of_scipy() -> None:
    errors = np.random.default_rng(1).normal(size=(80, 1)) ** 2
    low, high = bootstrap_of_means(errors, lambda means: {"rmse": np.sqrt(means[:, 0])})["rmse"]
    known = bootstrap(
        (errors[:, 0],), lambda values, axis: np.sqrt(values.mean(axis)), method="percentile", random_state=2
    ).confidence_interval
    assert (low, high) == pytest.approx((known.low, known.high), abs=0.02)
    assert low < np.sqrt(errors.mean()) < high


def test_a_bootstrap_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).normal(size=(30, 7))
    scores = lambda means: {str(place): column for place, column in enumerate(means.T)}  # noqa: E731
    whole = bootstrap_of_means(values, scores)
    monkeypatch.setattr(intervals, "_MOST_DRAWN", 1000)
    assert bootstrap_of_means(values, scores) == whole


def test_the_interval_of_a_rank_correlation_covers_it_in_95_of_100_samples() -> None:
    generator = np.random.default_rng(3)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's for a normal pair with correlation 0.6
    covered = 0
    for _ in range(400):
        pair = generator.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=60)
        low, high = spearman_interval(spearmanr(*pair.T).statistic, 60)
        covered += low < truth < high
    assert 0.92 < covered / 400 < 0.98


def test_too_few_rows_and_perfect_ranks_have_no_interval() -> None:
    assert spearman_interval(0.5, 3) is None
    assert spearman_interval(1.0, 50) is None


def test_a_second_run_with_larger_errors_differs_upwards() -> None:
    targets = np.random.default_rng(4).normal(size=60)
    runs = tuple(
        ScoredRun(
            predictions={"test": {"target": targets.tolist(), "prediction": (targets + error).tolist()}},
            results={},
            baselines={},
            origins={},
        )
        for error in (0.5, 1.5)
    )
    found = differences("test", runs)  # type: ignore[arg-type]
    assert found["rmse_difference"] == pytest.approx(1.0)
    assert found["mae_low"] == pytest.approx(1.0)
    assert "RMSE +1.000 [+1.000, +1.000]" in in_words(found, "B less A")


def test_labels_are_counted_alike_with_and_without_torch() -> None:
    generator = np.random.default_rng(5)
    targets, probabilities = generator.integers(0, 2, size=(40, 3)), generator.random((40, 3)).astype(np.float32)
    metrics = MultiLabelMetrics(["a", "b", "c"], {}, synced=False)
    batch = {"targets": torch.from_numpy(targets).float(), "slices": torch.zeros(40, 0, dtype=torch.long)}
    metrics.update({"label_probabilities": torch.from_numpy(probabilities)}, batch, torch.ones(40, dtype=torch.bool))
    expected = scores_of_labels(label_counts(targets, probabilities >= 0.5).mean(axis=0))
    for name in ("f1_macro", "f1_micro", "exact_match"):
        assert metrics.compute()[name] == pytest.approx(float(expected[name]), abs=1e-6)


@pytest.mark.parametrize(("count", "rows"), [(0, 5), (3, 7), (61, 103), (40, 40)])
def test_the_interval_of_a_share_is_that_of_scipy(count: int, rows: int) -> None:
    expected = binomtest(count, rows).proportion_ci(method="wilson")
    assert share_interval(count, rows) == pytest.approx((expected.low, expected.high), abs=1e-6)
