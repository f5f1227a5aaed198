from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from longtail.errors import LongtailError
from longtail.evaluation.metrics import contingency, match, scores


@st.composite
def clusterings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """True labels in which every class occurs, and clusters, which may be fewer or more and may be skipped."""
    classes = draw(st.integers(1, 5))
    rest = draw(st.lists(st.integers(0, classes - 1), max_size=40))
    labels = np.array([*range(classes), *rest])
    clusters = draw(st.lists(st.integers(0, draw(st.integers(0, 5))), min_size=len(labels), max_size=len(labels)))
    return labels, np.array(clusters)


def slow_scores(labels: np.ndarray, clusters: np.ndarray) -> tuple[float, float, float, float]:
    """ACC, CAA, NMI and ARI from their definitions, in loops over maps, rows and pairs of rows."""
    rows, classes = len(labels), max(labels) + 1
    size = max(classes, max(clusters) + 1)
    table = [[0] * size for _ in range(size)]
    for label, cluster in zip(labels, clusters, strict=True):
        table[label][cluster] += 1
    best = (-1.0, -1.0)
    for clusters_of in itertools.permutations(range(size)):  # the cluster of each (padded) class
        acc = sum(table[i][clusters_of[i]] for i in range(size)) / rows
        caa = sum(table[i][clusters_of[i]] / sum(table[i]) for i in range(classes)) / classes
        best = max(best, (round(acc, 9), caa))

    def entropy(values: np.ndarray) -> float:
        shares = [list(values).count(value) / rows for value in set(values)]
        return -sum(share * math.log(share) for share in shares)

    information = 0.0
    for i, j in itertools.product(range(size), repeat=2):
        if table[i][j]:
            chance = sum(table[i]) * sum(line[j] for line in table) / rows
            information += table[i][j] / rows * math.log(table[i][j] / chance)
    entropies = entropy(labels) + entropy(clusters)
    nmi = 2 * information / entropies if entropies else 1.0

    pairs = list(itertools.combinations(range(rows), 2))
    same_class = [labels[a] == labels[b] for a, b in pairs]
    same_cluster = [clusters[a] == clusters[b] for a, b in pairs]
    both = sum(x and y for x, y in zip(same_class, same_cluster, strict=True))
    expected = sum(same_class) * sum(same_cluster) / len(pairs) if pairs else 0.0
    most = (sum(same_class) + sum(same_cluster)) / 2
    ari = (both - expected) / (most - expected) if most != expected else 1.0
    return 100 * best[0], 100 * best[1], 100 * nmi, 100 * ari


@settings(deadline=None)
@given(clusterings())
def test_equals_the_definitions(clustering: tuple[np.ndarray, np.ndarray]) -> None:
    found = scores(contingency(*clustering))
    assert (found.acc, found.caa, found.nmi, found.ari) == pytest.approx(slow_scores(*clustering), abs=1e-6)


@settings(deadline=None)
@given(clusterings())
def test_equals_scikit_learn(clustering: tuple[np.ndarray, np.ndarray]) -> None:
    found = scores(contingency(*clustering))
    assert found.nmi == pytest.approx(100 * normalized_mutual_info_score(*clustering), abs=1e-9)
    assert found.ari == pytest.approx(100 * adjusted_rand_score(*clustering), abs=1e-9)


@settings(deadline=None)
@given(clusterings(), st.randoms(use_true_random=False))
def test_numbering_and_order_mean_nothing(clustering: tuple[np.ndarray, np.ndarray], random) -> None:
    labels, clusters = clustering
    numbers = random.sample(range(8), 8)
    order = random.sample(range(len(labels)), len(labels))
    found = scores(contingency(labels, clusters))
    again = scores(contingency(labels[order], np.array(numbers)[clusters][order]))
    for name in ("acc", "caa", "nmi", "ari"):
        assert getattr(found, name) == pytest.approx(getattr(again, name), abs=1e-9)


@settings(deadline=None)
@given(clusterings())
def test_bounds(clustering: tuple[np.ndarray, np.ndarray]) -> None:
    labels, clusters = clustering
    found = scores(contingency(labels, clusters))
    classes = labels.max() + 1
    assert 100 / (max(classes, clusters.max() + 1)) - 1e-9 <= found.acc <= 100
    assert 0 <= found.caa <= 100
    assert 0 <= found.nmi <= 100
    assert -50 - 1e-9 <= found.ari <= 100 + 1e-9
    assert found.caa == pytest.approx(found.recall.mean())
    assert found.acc == pytest.approx(np.average(found.recall, weights=np.bincount(labels)))


@settings(deadline=None)
@given(clusterings(), st.permutations(range(5)))
def test_the_true_classes_are_perfect(clustering: tuple[np.ndarray, np.ndarray], numbers: list[int]) -> None:
    labels, _ = clustering
    found = scores(contingency(labels, np.array(numbers)[labels]))
    assert (found.acc, found.caa, found.nmi, found.ari) == pytest.approx((100, 100, 100, 100))


def test_one_cluster_finds_the_largest_class() -> None:
    labels = np.repeat([0, 1, 2], [2, 5, 3])
    found = scores(contingency(labels, np.zeros(10, dtype=np.int64)))
    assert (found.acc, found.nmi, found.ari) == pytest.approx((50, 0, 0))
    assert found.caa == pytest.approx(100 / 3)
    np.testing.assert_allclose(found.recall, [0, 100, 0])


def test_a_class_without_a_cluster_counts_nothing() -> None:
    # by majority vote, cluster 0 would serve class 0 and cluster 1 both of the others
    table = np.array([[8, 0, 0], [1, 6, 0], [0, 3, 0]])
    found = scores(table)
    assert found.acc == pytest.approx(100 * 14 / 18)
    np.testing.assert_allclose(found.recall, [100, 600 / 7, 0])
    assert found.caa == pytest.approx((100 + 600 / 7 + 0) / 3)


def test_caa_uses_the_matching_of_acc() -> None:
    # the matching that is best for CAA alone is the other diagonal: (3/13 + 1) / 2 against (10/13 + 0) / 2
    table = np.array([[10, 3], [2, 0]])
    found = scores(table)
    assert found.acc == pytest.approx(100 * 10 / 15)
    assert found.caa == pytest.approx(100 * 10 / 13 / 2)


def test_a_tie_of_acc_goes_to_the_higher_caa() -> None:
    # both diagonals match 4 rows; the first has recalls 3/5 and 1/3, the second 2/5 and 2/3
    for table in (np.array([[3, 2], [2, 1]]), np.array([[2, 3], [1, 2]])):
        assert scores(table).acc == pytest.approx(50)
        assert scores(table).caa == pytest.approx(100 * (2 / 5 + 2 / 3) / 2)


def test_more_clusters_than_classes() -> None:
    labels, clusters = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 3])
    found = scores(contingency(labels, clusters))
    assert found.acc == pytest.approx(50)
    assert found.caa == pytest.approx(50)
    matched = match(contingency(labels, clusters))
    assert sorted(matched.tolist()) == [-1, -1, 0, 1]


def test_a_class_without_rows_has_no_recall() -> None:
    found = scores(contingency(np.array([0, 0, 2]), np.array([1, 1, 0])))
    np.testing.assert_array_equal(np.isnan(found.recall), [False, True, False])
    assert found.caa == pytest.approx(100)


def test_contingency_counts() -> None:
    table = contingency(np.array([0, 1, 1, 0]), np.array([2, 0, 0, 2]))
    np.testing.assert_array_equal(table, [[0, 0, 2], [2, 0, 0]])


@pytest.mark.parametrize(
    ("labels", "clusters", "message"),
    [([0, 1], [0], "same rows"), ([], [], "same rows"), ([0, -1], [0, 0], "negative"), ([0, 1], [0, -1], "negative")],
)
def test_bad_input_is_named(labels: list[int], clusters: list[int], message: str) -> None:
    with pytest.raises(LongtailError, match=message):
        contingency(np.array(labels, dtype=np.int64), np.array(clusters, dtype=np.int64))
