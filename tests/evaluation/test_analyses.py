from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.evaluation.analyses import (
    as_classes,
    assigned_mini_clusters,
    class_geometry,
    compactness,
    confusion,
    geometry,
    purity,
)
from longtail.evaluation.metrics import contingency, scores


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def random_rows(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(np.arange(classes), 2), random.integers(0, classes, rows)])
    return random.normal(size=(len(labels), 5)), labels


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), rows=st.integers(0, 15), classes=st.integers(2, 4))
def test_geometry_equals_loops_over_pairs(seed: int, rows: int, classes: int) -> None:
    vectors, labels = random_rows(seed, rows, classes)
    found = geometry(vectors, labels)
    for k in range(classes):
        members, others = vectors[labels == k], vectors[labels != k]
        pairs = [cosine(members[i], members[j]) for i, j in itertools.permutations(range(len(members)), 2)]
        with_self = [cosine(a, b) for a, b in itertools.product(members, repeat=2)]
        across = [cosine(a, b) for a, b in itertools.product(members, others)]
        assert found.similarity[k] == pytest.approx(np.mean(pairs))
        assert found.similarity_with_self[k] == pytest.approx(np.mean(with_self))
        assert found.dissimilarity[k] == pytest.approx(np.mean(across))
        assert found.sizes[k] == len(members)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000))
def test_geometry_does_not_see_order_length_or_rotation(seed: int) -> None:
    vectors, labels = random_rows(seed, 12, 3)
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    rotation, _ = np.linalg.qr(random.normal(size=(5, 5)))
    changed = (vectors * random.uniform(0.1, 9, (len(labels), 1)) @ rotation)[order]
    found, again = geometry(vectors, labels), geometry(changed, labels[order])
    np.testing.assert_allclose(found.similarity, again.similarity, atol=1e-12)
    np.testing.assert_allclose(found.dissimilarity, again.dissimilarity, atol=1e-12)


def test_geometry_of_classes_on_axes() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    found = geometry(np.eye(3)[labels], labels)
    np.testing.assert_allclose(found.similarity, [1, 1])
    np.testing.assert_allclose(found.dissimilarity, [0, 0])


def test_self_pairs_weigh_most_in_small_classes() -> None:
    vectors = np.eye(6)
    found = geometry(vectors, np.array([0, 0, 0, 0, 1, 1]))
    np.testing.assert_allclose(found.similarity, [0, 0])
    np.testing.assert_allclose(found.similarity_with_self, [1 / 4, 1 / 2])


def test_a_class_of_one_row_has_no_pairs() -> None:
    found = geometry(np.eye(3), np.array([0, 0, 1]))
    assert np.isnan(found.similarity[1])
    assert found.similarity_with_self[1] == pytest.approx(1)
    assert found.dissimilarity[1] == pytest.approx(0)


def test_a_zero_row_has_cosine_zero() -> None:
    vectors = np.array([[1.0, 0], [1, 0], [0, 0], [0, 1], [0, 1]])
    found = geometry(vectors, np.array([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(found.similarity, [1 / 3, 1])


def test_compactness_by_shot_and_ratio_before_rounding() -> None:
    similarity = np.array([0.084, 0.076, 0.5, 0.6, 0.125, 0.115])
    shots = np.array(["many", "many", "medium", "medium", "few", "few"])
    found = compactness(similarity, shots)
    assert found["compactness_many"] == pytest.approx(0.08)
    assert found["compactness_medium"] == pytest.approx(0.55)
    assert found["compactness_few"] == pytest.approx(0.12)
    assert found["few_many_ratio"] == pytest.approx(1.5)
    rounded = compactness(np.array([0.0846, 0.1149]), np.array(["many", "few"]))
    assert rounded["few_many_ratio"] == pytest.approx(0.1149 / 0.0846)
    assert np.isnan(rounded["compactness_medium"])


def test_compactness_is_undefined_with_a_class_of_one_row() -> None:
    found = compactness(np.array([0.5, 0.5, np.nan]), np.array(["many", "few", "few"]))
    assert np.isnan(found["compactness_few"])
    assert np.isnan(found["few_many_ratio"])
    assert found["compactness_many"] == 0.5


partitions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=40).map(
    lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True))
)


@given(partitions)
def test_purity_equals_a_loop_over_clusters(partition: tuple[np.ndarray, np.ndarray]) -> None:
    labels, clusters = partition
    shares = []
    for cluster in set(clusters.tolist()):
        inside = labels[clusters == cluster].tolist()
        shares.append(Counter(inside).most_common(1)[0][1] / len(inside))
    assert purity(labels, clusters) == pytest.approx(sum(shares) / len(shares))


@given(partitions)
def test_purity_of_single_rows_and_of_the_classes_is_one(partition: tuple[np.ndarray, np.ndarray]) -> None:
    labels, _ = partition
    assert purity(labels, np.arange(len(labels))) == 1
    assert purity(labels, labels) == 1


def test_purity_counts_clusters_alike() -> None:
    labels = np.array([0] * 9 + [1] * 9 + [0])
    clusters = np.array([0] * 18 + [5])  # clusters 1 to 4 are empty
    assert purity(labels, clusters) == pytest.approx((0.5 + 1) / 2)


@given(partitions, st.sampled_from([0.1, 0.3, 0.5, 0.7]))
def test_assigned_mini_clusters_equal_a_loop(partition: tuple[np.ndarray, np.ndarray], delta: float) -> None:
    targets, minis = partition
    for k, count in enumerate(assigned_mini_clusters(targets, minis, delta)):
        expected = 0
        for j in range(7):
            inside = targets[minis == j].tolist()
            if inside and inside.count(k) / len(inside) > delta:
                expected += 1
        assert count == expected


def test_assigned_mini_clusters_by_hand() -> None:
    # mini-cluster 0: 6 and 4, 1: empty, 2: 3 and 7
    targets = np.array([0] * 6 + [1] * 4 + [0] * 3 + [1] * 7)
    minis = np.array([0] * 10 + [2] * 10)
    np.testing.assert_array_equal(assigned_mini_clusters(targets, minis, 0.3), [1, 2])  # 3/10 is not more than 0.3
    np.testing.assert_array_equal(assigned_mini_clusters(targets, minis, 0.2), [2, 2])  # one serves both
    np.testing.assert_array_equal(assigned_mini_clusters(targets, minis, 0.5), [1, 1])
    np.testing.assert_array_equal(assigned_mini_clusters(targets, minis, 0.7), [0, 0])


@given(partitions)
def test_confusion_is_a_reordered_contingency_table(partition: tuple[np.ndarray, np.ndarray]) -> None:
    labels, clusters = partition
    table, ordered = contingency(labels, clusters), confusion(labels, clusters)
    assert ordered.shape[1] >= len(table)
    columns = sorted(column for column in ordered.T.tolist() if any(column))
    assert columns == sorted(column for column in table.T.tolist() if any(column))
    assert 100 * np.trace(ordered) / len(labels) == pytest.approx(scores(table).acc)


def test_confusion_of_renumbered_classes_is_diagonal() -> None:
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    np.testing.assert_array_equal(confusion(labels, np.array([2, 0, 1])[labels]), np.diag([5, 3, 2]))


def test_unmatched_clusters_follow_the_classes() -> None:
    labels, clusters = np.array([0, 0, 0, 1, 1]), np.array([3, 3, 0, 1, 1])
    np.testing.assert_array_equal(as_classes(labels, clusters) >= 2, clusters == 0)
    assert confusion(labels, clusters)[:, :2].tolist() == [[2, 0], [0, 2]]


def test_fewer_clusters_than_classes_leave_a_column_of_zeros() -> None:
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 0, 0, 0]))
    np.testing.assert_array_equal(counts, [[2, 0, 0], [1, 0, 0], [1, 0, 0]])


# --- Alignment and uniformity of GloCo Table 1 ------------------------------------------------------------------------


def slow_class_geometry(vectors: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The formulas of GloCo Sec. 4, sum by sum, and the same without squares."""
    rows = [[x / sum(y * y for y in row) ** 0.5 for x in row] for row in vectors.tolist()]
    members = [[row for row, label in zip(rows, labels, strict=True) if label == k] for k in sorted(set(labels))]
    centres = [[sum(column) / len(own) for column in zip(*own, strict=True)] for own in members]
    count = len(members)

    def squared(a: list[float], b: list[float]) -> float:
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    found = {"improved_uniformity": 0.0}
    variances = [mean([squared(v, c) for v in own]) for own, c in zip(members, centres, strict=True)]
    for suffix, power in (("", 1), ("_unsquared", 0.5)):
        spread = [mean([squared(v, w) ** power for v in own for w in own]) for own in members]
        to_centre = [mean([squared(v, c) ** power for v in own]) for own, c in zip(members, centres, strict=True)]
        between = [squared(centres[i], centres[j]) ** power for i in range(count) for j in range(count) if i != j]
        found |= {f"intra_alignment{suffix}": mean(spread), f"class_variance{suffix}": mean(to_centre)}
        found[f"inter_uniformity{suffix}"] = mean(between)
    for i in range(count):
        for j in range(count):
            if i != j:
                found["improved_uniformity"] += squared(centres[i], centres[j]) / (variances[i] + variances[j])
    found["improved_uniformity"] *= 2 / (count * (count - 1))
    return found


@given(st.integers(0, 999), st.integers(2, 4))
def test_class_geometry_is_its_formulas(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), np.arange(classes), random.integers(classes, size=4)])
    vectors = random.normal(size=(len(labels), 3))
    found = class_geometry(vectors, 2 * labels)  # classes without rows do not count
    assert found == pytest.approx(slow_class_geometry(vectors, labels))
    assert found["intra_alignment"] == pytest.approx(2 * found["class_variance"])


def test_golden_class_geometry() -> None:
    t = np.arange(1, 25)
    found = class_geometry(np.sin(t**2).reshape(6, 4), np.array([0, 0, 0, 1, 1, 1]))
    assert found == pytest.approx(
        {
            "intra_alignment": 1.232166,
            "class_variance": 0.616083,
            "inter_uniformity": 0.793767,
            "improved_uniformity": 1.288409,
            "intra_alignment_unsquared": 0.893162,
            "class_variance_unsquared": 0.774175,
            "inter_uniformity_unsquared": 0.890936,
        },
        abs=6e-7,
    )


def test_improved_uniformity_of_equal_variances_is_uniformity_over_variance() -> None:
    own = np.array([[1.0, 0.2], [1.0, -0.2]])
    found = class_geometry(np.concatenate([own, own[:, ::-1], -own]), np.repeat([0, 1, 2], 2))
    assert found["improved_uniformity"] == pytest.approx(found["inter_uniformity"] / found["class_variance"])


def test_large_classes_are_taken_in_parts() -> None:
    vectors = np.random.default_rng(0).normal(size=(2101, 2))
    found = class_geometry(vectors, np.zeros(2101, dtype=np.int64))
    assert found["intra_alignment"] == pytest.approx(2 * found["class_variance"])
    assert np.isnan(found["inter_uniformity"])
