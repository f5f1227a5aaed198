"""How far two means over seeds may lie apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from longtail.reporting.spread import allowed_difference

stds = st.floats(0, 1e6, allow_nan=False)
seeds = st.integers(1, 20)
confidences = st.sampled_from([0.5, 0.95, 0.999])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8), st.lists(st.floats(-100, 100), min_size=2, max_size=8))
def test_the_interval_is_that_of_welch(first: list[float], second: list[float]) -> None:
    a, b = np.array(first), np.array(second)
    assume(min(a.std(), b.std()) > 1e-3)
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    allowed = allowed_difference(a.std(ddof=1), len(a), b.std(ddof=1), len(b), 0.95)
    assert allowed == pytest.approx((interval.high - interval.low) / 2)


@given(stds, seeds, stds, seeds, confidences)
def test_it_does_not_matter_which_comes_first(a: float, m: int, b: float, n: int, confidence: float) -> None:
    assert allowed_difference(a, m, b, n, confidence) == pytest.approx(
        allowed_difference(b, n, a, m, confidence), nan_ok=True
    )


@given(stds, seeds, stds, seeds, confidences, st.floats(1e-3, 1e3))
def test_it_has_the_unit_of_the_spreads(a: float, m: int, b: float, n: int, confidence: float, factor: float) -> None:
    once = allowed_difference(a, m, b, n, confidence)
    assert allowed_difference(a * factor, m, b * factor, n, confidence) == pytest.approx(once * factor, nan_ok=True)


@given(stds, seeds, stds, seeds)
def test_more_confidence_allows_more(a: float, m: int, b: float, n: int) -> None:
    low, high = (allowed_difference(a, m, b, n, confidence) for confidence in (0.5, 0.95))
    assert (math.isnan(low) and math.isnan(high)) or 0 <= low <= high


@pytest.mark.parametrize("std", [0.0, 1.0, math.nan])
def test_single_trainings_have_no_spread(std: float) -> None:
    assert math.isnan(allowed_difference(std, 1, std, 1, 0.95))


def test_a_single_training_is_predicted_by_the_other_ones() -> None:
    expected = stats.t.ppf(0.975, 4) * 2.0 * math.sqrt(1 + 1 / 5)
    assert allowed_difference(2.0, 5, math.nan, 1, 0.95) == pytest.approx(expected)
    assert allowed_difference(math.nan, 3, 2.0, 5, 0.95) == pytest.approx(
        stats.t.ppf(0.975, 4) * 2.0 * math.sqrt(1 / 3 + 1 / 5)
    )


def test_without_any_spread_nothing_may_differ() -> None:
    assert allowed_difference(0.0, 3, 0.0, 3, 0.95) == 0
    assert allowed_difference(0.0, 3, 1.0, 3, 0.95) == pytest.approx(stats.t.ppf(0.975, 2) / math.sqrt(3))


def test_the_interval_holds_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(50, 3, size=(2000, 2, 3))
    within = [
        abs(a.mean() - b.mean()) <= allowed_difference(a.std(ddof=1), 3, b.std(ddof=1), 3, 0.95) for a, b in draws
    ]
    assert 0.94 <= np.mean(within) <= 0.98  # Welch's is a little too wide for three seeds
