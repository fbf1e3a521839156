"""Krippendorff's alpha against worked values."""

import numpy as np
import pytest

from lit_humor.metrics.agreement import count_ratings, nominal_agreement

# Krippendorff 2011, sections A, B and C; a dot is a missing rating.
TWO_BINARY = ("0100000010", "1110010000")
TWO_NOMINAL = ("aabbdcccedda", "babbbccceddd")
FOUR_WITH_GAPS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def counts_of(columns: tuple[str, ...]) -> np.ndarray:
    return count_ratings([["" if one == "." else one for one in column] for column in columns])[1]


@pytest.mark.parametrize(
    ("columns", "alpha", "rows", "ratings"),
    [(TWO_BINARY, 0.095, 10, 20), (TWO_NOMINAL, 0.692, 12, 24), (FOUR_WITH_GAPS, 0.743, 11, 40)],
)
def test_worked_examples(columns: tuple[str, ...], alpha: float, rows: int, ratings: int) -> None:
    found = nominal_agreement(counts_of(columns))
    assert found.alpha == pytest.approx(alpha, abs=5e-4)
    assert (found.rows, found.ratings) == (rows, ratings)
    assert found.interval
    assert found.interval[0] < alpha < found.interval[1]


def test_perfect_agreement_is_one_and_perfect_disagreement_is_below_zero() -> None:
    assert nominal_agreement(counts_of(("abcab", "abcab", "ab.ab"))).alpha == 1
    opposite = nominal_agreement(counts_of(("abab", "baba"))).alpha
    assert opposite == pytest.approx(1 - 7 * 8 / (64 - 32))  # 8 ratings, 4 of each, no equal pair


def test_permuted_ratings_agree_as_by_chance() -> None:
    generator = np.random.default_rng(0)
    ratings = generator.choice(["a", "b", "b", "c"], size=2000)
    columns = [ratings.tolist(), generator.permutation(ratings).tolist(), generator.permutation(ratings).tolist()]
    found = nominal_agreement(count_ratings(columns)[1])
    assert found.alpha == pytest.approx(0, abs=0.03)
    assert found.interval
    assert found.interval[0] < 0 < found.interval[1]


def test_the_interval_is_as_wide_as_alpha_varies_between_samples() -> None:
    generator = np.random.default_rng(1)

    def sample() -> np.ndarray:
        truth = generator.integers(2, size=200)
        raters = [np.where(generator.random(200) < 0.2, 1 - truth, truth) for _ in range(3)]
        return count_ratings([list(map(str, one)) for one in raters])[1]

    alphas = [nominal_agreement(sample()).alpha for _ in range(100)]
    found = nominal_agreement(sample())
    assert found.interval
    assert np.diff(found.interval)[0] == pytest.approx(2 * 1.96 * np.std(alphas), rel=0.25)  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [("aaaa", "aaaa"), ("a.b.", ".a.b"), ("....", "....")])
def test_without_pairs_or_with_one_rating_alone_alpha_is_not_defined(columns: tuple[str, ...]) -> None:
    found = nominal_agreement(counts_of(columns))
    assert found.alpha is None
    assert found.interval is None
