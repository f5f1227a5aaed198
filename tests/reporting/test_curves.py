"""Curves of several jobs on one axis."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from longtail.reporting.curves import Part, joined


def part(objective: str, first: int, last: int) -> Part:
    epochs = np.arange(first, last + 1)
    return Part(objective, epochs, 1.0 / epochs)


def test_jobs_of_one_clock_follow_each_other() -> None:
    curve = joined([part("sdclr", 1, 10), part("conmix", 11, 50)])
    np.testing.assert_array_equal(curve.epochs, np.arange(1, 51))
    np.testing.assert_array_equal(curve.losses, 1.0 / np.arange(1, 51))
    assert curve.borders == (10,)


def test_another_clock_begins_where_the_first_one_ended() -> None:
    curve = joined([part("byol", 1, 4), part("byol", 5, 8), part("miniclustering", 1, 3)])
    np.testing.assert_array_equal(curve.epochs, np.arange(1, 12))
    assert curve.borders == (8,)


def test_nothing_makes_an_empty_curve() -> None:
    for parts in ([], [Part("ce", np.zeros(0, np.int64), np.zeros(0))]):
        curve = joined(parts).thinned(10)
        assert len(curve.epochs) == len(curve.losses) == 0
        assert curve.borders == ()


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 400)), min_size=1, max_size=4), st.integers(2, 100))
def test_thinning_keeps_the_ends_and_the_order(parts: list[tuple[int, int]], points: int) -> None:
    whole = joined(part("ce", first, first + more) for first, more in parts)
    few = whole.thinned(points)
    assert len(few.epochs) == len(few.losses) == min(points, len(whole.epochs))
    assert (np.diff(few.epochs) > 0).all()
    assert few.epochs[0] == whole.epochs[0]
    assert few.epochs[-1] == whole.epochs[-1]
    assert set(zip(few.epochs, few.losses, strict=True)) <= set(zip(whole.epochs, whole.losses, strict=True))
