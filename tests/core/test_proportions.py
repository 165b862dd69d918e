"""Shares with intervals, against published examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proportions import Proportion, difference, wilson


@pytest.mark.parametrize(
    ("part", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I,
        # method 3: the score method without continuity correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_of_a_share_are_those_of_newcombes_table(part, n, low, high):
    interval = Proportion(part, n).interval
    assert interval == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # Newcombe 1998, "Interval estimation for the difference between independent proportions",
        # table II, method 10.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_intervals_of_a_difference_are_those_of_newcombes_table(first, second, low, high):
    interval = difference(Proportion(*first), Proportion(*second))
    assert interval == pytest.approx((low, high), abs=5e-5)


def test_nothing_has_no_share_and_no_interval():
    assert Proportion(0, 0).value is None
    assert Proportion(0, 0).interval is None
    with pytest.raises(ValueError, match="nothing"):
        difference(Proportion(0, 0), Proportion(1, 2))


def test_an_interval_of_things_that_are_not_independent_is_wider():
    assert Proportion(50, 100, clusters=20).interval == wilson(0.5, 20)
    assert Proportion(50, 100, clusters=500).interval == wilson(0.5, 100)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_interval_contains_the_share(n, share):
    part = round(share * n)
    low, high = Proportion(part, n).interval
    assert 0 <= low <= part / n <= high <= 1
