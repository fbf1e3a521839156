"""Intervals of numbers of a split, against what is known of them."""

import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr

from lit_humor.metrics.intervals import bootstrap_of_means, spearman_interval


def test_the_bootstrap_is_that_of_scipy() -> None:
    errors = np.random.default_rng(1).normal(size=(80, 1)) ** 2
    low, high = bootstrap_of_means(errors, lambda means: {"rmse": np.sqrt(means[:, 0])})["rmse"]
    known = bootstrap(
        (errors[:, 0],), lambda values, axis: np.sqrt(values.mean(axis)), method="percentile", random_state=2
    ).confidence_interval
    assert (low, high) == pytest.approx((known.low, known.high), abs=0.02)
    assert low < np.sqrt(errors.mean()) < high


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
