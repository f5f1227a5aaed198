from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

import longtail
from longtail.clusterers.agglomerative import Linkage, agglomerative
from longtail.errors import LongtailError

PACKAGE = Path(longtail.__file__).parent


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


@pytest.mark.parametrize("linkage", ["ward", "average", "complete"])
def test_every_linkage_cuts_where_scikit_learn_does(linkage: Linkage) -> None:
    points = np.random.default_rng(3).normal(size=(150, 4)).astype(np.float32)
    expected = AgglomerativeClustering(7, linkage=linkage).fit_predict(points)
    assert adjusted_rand_score(expected, agglomerative(points, 7, linkage=linkage)) == 1.0


@pytest.mark.parametrize("linkage", ["ward", "average", "complete"])
@pytest.mark.parametrize("clusters", [1, 4, 12])
def test_equal_rows_still_give_as_many_clusters_as_asked_for(linkage: Linkage, clusters: int) -> None:
    labels = agglomerative(np.repeat(np.eye(3), 4, axis=0), clusters, linkage=linkage)
    assert sorted(set(labels)) == list(range(clusters))


def test_one_row_is_one_cluster() -> None:
    assert agglomerative(np.ones((1, 2)), 1, linkage="ward").tolist() == [0]


def test_ward_needs_no_distances_of_all_pairs() -> None:
    """5,000 rows, whose distances would take 200 MB (or 100 in float32)."""
    program = (
        "import resource; import numpy as np; from longtail.clusterers.agglomerative import agglomerative\n"
        "points = np.random.default_rng(0).normal(size=(5000, 2))\n"
        "agglomerative(points[:9], 3, linkage='ward')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "agglomerative(points, 3, linkage='ward')\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000\n"  # KiB
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(PACKAGE.parent)})


def test_bad_input_is_named() -> None:
    with pytest.raises(LongtailError, match="3 rows"):
        agglomerative(np.eye(3), 4, linkage="ward")
    with pytest.raises(LongtailError, match="wart"):
        agglomerative(np.eye(3), 2, linkage="wart")
    with pytest.raises(LongtailError, match="NaN"):
        agglomerative(np.array([[1.0, np.nan], [0.0, 1.0]]), 1, linkage="ward")
