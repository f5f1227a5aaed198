from __future__ import annotations

import itertools

import numpy as np
import pytest

from longtail.clusterers.euclidean import euclidean_kmeans
from longtail.errors import LongtailError


def squares(points: np.ndarray, labels: np.ndarray) -> float:
    return sum(((points[labels == k] - points[labels == k].mean(axis=0)) ** 2).sum() for k in np.unique(labels))


def test_it_finds_the_best_partition_of_a_few_points():
    points = np.random.default_rng(0).normal(size=(8, 2))
    best = min(squares(points, np.array(labels)) for labels in itertools.product(range(3), repeat=8))
    labels = euclidean_kmeans(points, 3, seed=0, inits=20)
    assert labels.dtype == np.int64
    assert squares(points, labels) == pytest.approx(best)


def test_the_seed_decides_and_collapsed_rows_pass():
    points = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    assert np.array_equal(euclidean_kmeans(points, 9, seed=5, inits=1), euclidean_kmeans(points, 9, seed=5, inits=1))
    assert not np.array_equal(
        euclidean_kmeans(points, 9, seed=5, inits=1), euclidean_kmeans(points, 9, seed=6, inits=1)
    )
    assert set(euclidean_kmeans(np.ones((6, 2)), 3, seed=0, inits=2)) <= {0, 1, 2}


def test_fewer_rows_than_clusters_are_refused():
    with pytest.raises(LongtailError, match="2 rows"):
        euclidean_kmeans(np.eye(2), 3, seed=0, inits=1)
