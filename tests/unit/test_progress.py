"""The line of an epoch on the screen."""

import math

import pytest

from lit_humor.callbacks.progress import short


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.59182, "0.5918"), (99.9, "99.9000"), (534.4066, "534.41"), (2142.06, "2142"), (-3.25, "-3.2500")],
)
def test_a_number_fits_its_column(value: float, text: str) -> None:
    assert short(value) == text
    assert len(text) <= 7


def test_what_is_no_number_is_shown_as_such() -> None:
    assert short(math.nan) == "nan"
    assert short(math.inf) == "inf"
