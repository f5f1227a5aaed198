from __future__ import annotations

import itertools

import numpy as np
import pytest

from longtail.clusterers.agglomerative import agglomerative
from longtail.errors import LongtailError


def slow_ward(points: np.ndarray, clusters: int) -> set[frozenset[int]]:
    """Merge the two clusters whose union raises the sum of squares least, until ``clusters`` are left."""

    def squares(members: frozenset[int]) -> float:
        inside = points[list(members)]
        return float(((inside - inside.mean(axis=0)) ** 2).sum())

    parts = {frozenset([row]) for row in range(len(points))}
    while len(parts) > clusters:
        a, b = min(itertools.combinations(parts, 2), key=lambda two: squares(two[0] | two[1]) - sum(map(squares, two)))
        parts = parts - {a, b} | {a | b}
    return parts


@pytest.mark.parametrize("clusters", [1, 2, 5, 18])
def test_ward_equals_the_slow_version(clusters: int) -> None:
    points = np.random.default_rng(clusters).normal(size=(18, 3))
    labels = agglomerative(points, clusters, linkage="ward")
    assert {frozenset(np.flatnonzero(labels == k).tolist()) for k in range(clusters)} == slow_ward(points, clusters)
    assert labels.dtype == np.int64


def test_bad_input_is_named() -> None:
    with pytest.raises(LongtailError, match="3 rows"):
        agglomerative(np.eye(3), 4, linkage="ward")
    with pytest.raises(LongtailError, match="wart"):
        agglomerative(np.eye(3), 2, linkage="wart")
