"""Pairs of supervised contrast against simulations and gradients that are taken one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.evaluation.pairs import pair_counts, pair_gradients, pair_similarities


def slow_counts(labels: np.ndarray, epochs: int, batch_size: int, queue_size: int, seed: int) -> list[list[int]]:
    random, queue = np.random.default_rng(seed), []
    classes = labels.max() + 1
    counts = [[0] * classes for _ in range(classes)]
    for _ in range(epochs):
        order = random.permutation(labels).tolist()
        while len(order) >= batch_size:
            batch, order = order[:batch_size], order[batch_size:]
            for anchor in batch:
                for key in queue:
                    counts[anchor][key] += 1
            queue = (queue + batch)[-queue_size:]
    return counts


@given(
    seed=st.integers(0, 99),
    rows=st.integers(4, 12),
    epochs=st.integers(1, 3),
    batch_size=st.integers(1, 4),
    queue_size=st.integers(1, 20),
)
def test_pairs_are_those_of_a_queue_that_batches_enter_one_by_one(seed, rows, epochs, batch_size, queue_size):
    labels = np.sort(np.random.default_rng(seed).integers(0, 3, rows))
    found = pair_counts(labels, epochs=epochs, batch_size=batch_size, queue_size=queue_size, seed=seed)
    assert found.tolist() == slow_counts(labels, epochs, batch_size, queue_size, seed)


def test_the_proposition():
    """The imbalance of pairs is that of the classes, squared: CIFAR-10-LT at 10, over the epochs of the figure."""
    sizes = np.array([5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500])
    labels = np.repeat(np.arange(10), sizes)
    counts = pair_counts(labels, epochs=100, batch_size=128, queue_size=1000, seed=0)
    relative = counts / counts[0, 0]
    assert np.diag(relative) == pytest.approx((sizes / 5000) ** 2, rel=0.05)
    assert relative == pytest.approx(np.outer(sizes, sizes) / 5000**2, rel=0.05)
    assert 1 / relative[9, 9] == pytest.approx(100, rel=0.05)


def test_a_batch_of_more_rows_than_there_are_is_all_of_them():
    labels = np.array([0, 0, 1])
    assert pair_counts(labels, epochs=2, batch_size=8, queue_size=8, seed=0).tolist() == [[4, 2], [2, 1]]


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_gradients_are_those_of_the_loss(temperature):
    """Every key's part in the gradient of Eq. 3 without weights, by differentiating each similarity."""
    random = np.random.default_rng(0)
    labels, vectors = np.repeat(np.arange(3), (7, 5, 4)), random.normal(size=(16, 3))
    found = pair_gradients(vectors, labels, keys_per_class=2, temperature=temperature, seed=1)
    draws = np.random.default_rng(1)
    keys = np.concatenate([draws.permutation(np.flatnonzero(labels == k))[:2] for k in range(3)])
    anchors = [i for i in range(16) if i not in keys]
    rows = torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    own, others = np.zeros(2), np.zeros(4)
    for i in anchors:
        similarities = (rows[keys] @ rows[i]).requires_grad_()
        same = torch.from_numpy(labels[keys] == labels[i])
        loss = -(similarities / temperature).log_softmax(0)[same].mean()
        (gradient,) = torch.autograd.grad(loss, similarities)
        order = similarities.detach().argsort(descending=True)
        own += gradient[order][same[order]].abs().numpy()
        others += gradient[order][~same[order]].abs().numpy()
    np.testing.assert_allclose(found[0], own / len(anchors), rtol=1e-10)
    np.testing.assert_allclose(found[1], others / len(anchors), rtol=1e-10)


def test_small_classes_have_shorter_queues_or_none():
    vectors = np.random.default_rng(0).normal(size=(8, 3))
    shorter = pair_gradients(vectors, np.repeat([0, 1], (5, 3)), keys_per_class=100, temperature=0.2, seed=0)
    assert [len(part) for part in shorter] == [1, 1]
    none = pair_gradients(vectors, np.repeat([0, 1], (7, 1)), keys_per_class=100, temperature=0.2, seed=0)
    assert [len(part) for part in none] == [0, 0]


@given(seed=st.integers(0, 99), rows=st.integers(1, 14), bins=st.integers(1, 7))
def test_similarities_are_counted_pair_by_pair(seed, rows, bins):
    random = np.random.default_rng(seed)
    vectors, labels = random.normal(size=(rows, 3)), random.integers(0, 4, rows)
    shots = np.array(["many", "medium", "few", "few"])
    counts, sums = {}, {}
    for i in range(rows):
        for j in range(i):
            if labels[i] == labels[j]:
                cosine = sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True))
                cosine /= sum(a * a for a in vectors[i]) ** 0.5 * sum(b * b for b in vectors[j]) ** 0.5
                held = counts.setdefault(str(shots[labels[i]]), [0] * bins)
                held[min(int((cosine + 1) / 2 * bins), bins - 1)] += 1
                sums.setdefault(str(shots[labels[i]]), []).append(cosine)
    found = pair_similarities(vectors, labels, shots, bins)
    assert {group: held.tolist() for group, (held, _) in found.items()} == counts
    for group, cosines in sums.items():
        assert found[group][1] == pytest.approx(sum(cosines) / len(cosines))


def test_images_that_are_the_same_fall_into_the_last_bin():
    ones = np.full((3, 5), 1 / 3, dtype=np.float32)
    found = pair_similarities(ones, np.zeros(3, dtype=np.int64), np.array(["few"]), bins=4)
    assert found["few"][0].tolist() == [0, 0, 0, 3]
