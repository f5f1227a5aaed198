"""ICCL's equations image by image in float64, and their golden values."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.centroid_contrast import (
    batch_sum,
    centroid_contrast,
    image_by_image,
    shares,
)
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.mixup import mixed_cross_entropy
from longtail.methods.losses.numerics import unit
from tests.methods.golden import directions, golden, near, waves

OWN, OTHER = torch.tensor([0, 0, 1]), torch.tensor([2, 0, 1])  # of two images both are of one class


@pytest.fixture
def z1():
    return directions(3, 4, 0)


@pytest.fixture
def centroids():
    return directions(3, 4, 300).detach() * torch.tensor([[0.9], [0.8], [0.5]])


def randoms(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# --- The formulas, term by term ---------------------------------------------------------------------------------------


def slow_mixture(u, own, other, share):
    """The mean of -lambda log softmax(u)_y^h - (1 - lambda) log softmax(u)_y^t."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(u)):
        below = torch.log(sum(torch.exp(u[i, k]) for k in range(u.shape[1])))
        total = total - share * (u[i, own[i]] - below) - (1 - share) * (u[i, other[i]] - below)
    return total / len(u)


def assert_same(found, expected, wanted):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    grads = (torch.autograd.grad(value, wanted, retain_graph=True)[0] for value in (found, expected))
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-10)


@given(seed=st.integers(0, 999), rows=st.integers(1, 4), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_contrast_is_the_formula(seed, rows, share):
    draws = torch.Generator().manual_seed(seed)
    own, other = (torch.randint(4, (rows,), generator=draws) for _ in range(2))
    x, centroids = randoms(seed, rows, 3).requires_grad_(), randoms(seed + 1, 4, 3)
    z, q = unit(x), shares(own, other, torch.tensor(share, dtype=torch.float64), 4)
    assert_same(centroid_contrast(z, centroids, q, 0.3), slow_mixture(z @ centroids.T / 0.3, own, other, share), x)


def slow_updates(centroids, z, labels, momentum):
    """One image after the other; the first of a class is its centroid."""
    moved = [row.clone() if row.any() else None for row in centroids]
    for row, label in zip(z, labels.tolist(), strict=True):
        moved[label] = row if moved[label] is None else momentum * moved[label] + (1 - momentum) * row
    return torch.stack([torch.zeros_like(z[0]) if row is None else row for row in moved])


@given(seed=st.integers(0, 999), rows=st.integers(1, 12), momentum=st.sampled_from([0.0, 0.5, 0.99]))
def test_centroids_follow_as_if_image_by_image(seed, rows, momentum):
    """Absent classes stay as they are, to the bit; those that nobody has seen start with their first image."""
    labels = torch.randint(4, (rows,), generator=torch.Generator().manual_seed(seed))
    centroids = torch.cat([randoms(seed, 4, 3), torch.zeros(2, 3)])  # of classes 4 and 5 nothing was seen
    labels[labels == 3] = 4
    z = unit(randoms(seed + 1, rows, 3))
    moved = image_by_image(centroids, z, labels, momentum)
    torch.testing.assert_close(moved, slow_updates(centroids, z, labels, momentum), rtol=1e-12, atol=1e-12)
    absent = torch.tensor([k not in labels for k in range(6)])
    assert torch.equal(moved[absent], centroids[absent])


def test_the_sum_over_a_batch_makes_centroids_as_long_as_their_class_is_frequent():
    """Trap: Eq. 1 to the letter. Towards B n_k / N, where 5 of 6 images, all alike, are of the first class."""
    z, labels = torch.tensor([[1.0, 0.0]] * 6), torch.tensor([0, 0, 0, 0, 0, 1])
    literal = each = torch.zeros(2, 2)
    for _ in range(1000):
        literal, each = batch_sum(literal, z, labels, 0.99), image_by_image(each, z, labels, 0.99)
    torch.testing.assert_close(literal.norm(dim=1), torch.tensor([5.0, 1.0]), rtol=1e-3, atol=0)
    torch.testing.assert_close(each.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(batch_sum(literal, z[:5], labels[:5], 0.99)[1], 0.99 * literal[1])


# --- Golden values G10 ------------------------------------------------------------------------------------------------


def test_golden_contrast(z1, centroids):
    assert golden(centroid_contrast(unit(z1), centroids, shares(OWN, OTHER, 0.3, 3), 0.3), z1) == near(
        0.871496, 0.796911
    )
    assert golden(centroid_contrast(unit(z1), centroids, shares(OWN, OWN, 1.0, 3), 0.3), z1) == near(1.430431, 1.042966)


def test_golden_classification(z1, centroids):
    of_uniform, of_mixed = waves(3, 3, 400), waves(3, 3, 500)
    plain = cross_entropy(of_uniform, OWN)
    mixed = mixed_cross_entropy(of_mixed, OWN, OTHER, torch.tensor(0.3, dtype=torch.float64))
    assert golden(plain, of_uniform) == near(1.298808, 0.501616)
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(of_uniform, OWN))
    assert golden(mixed, of_mixed) == near(1.197158, 0.436465)
    contrast = centroid_contrast(unit(z1), centroids, shares(OWN, OTHER, 0.3, 3), 0.3)
    assert (plain + mixed + contrast).item() == pytest.approx(3.367463, abs=1e-6)
    assert (mixed + contrast).item() == pytest.approx(2.068654, abs=1e-6)


FIRST = [-0.461609, -0.347805, -0.644122, 0.190311]
SECOND = [0.352113, -0.412588, 0.527260, 0.246293]


def test_golden_centroids(z1, centroids):
    def assert_near(found, *rows):
        torch.testing.assert_close(found, torch.tensor(rows, dtype=torch.float64), rtol=0, atol=1e-6)

    z = unit(z1).detach()
    moved = image_by_image(centroids, z, OWN, 0.99)
    assert_near(moved[:2], FIRST, SECOND)
    assert torch.equal(moved[2], centroids[2])
    assert_near(
        unit(moved),
        [-0.520948, -0.392515, -0.726923, 0.214775],
        [0.442612, -0.518630, 0.662774, 0.309595],
        [0.537695, -0.526321, -0.384861, -0.534559],
    )
    assert_near(
        batch_sum(centroids, z, OWN, 0.99),
        [-0.466264, -0.351258, -0.650571, 0.192177],
        SECOND,
        [0.266159, -0.260529, -0.190506, -0.264607],
    )


# --- Traps ------------------------------------------------------------------------------------------------------------


def test_shares_of_one_class_are_added_and_not_put_over_each_other():
    q = shares(OWN, OTHER, torch.tensor(0.3), 3)
    torch.testing.assert_close(q.float(), torch.tensor([[0.3, 0.0, 0.7], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))


def test_half_precision_is_left_for_full(z1, centroids):
    z, q = unit(z1).detach().bfloat16(), shares(OWN, OTHER, 0.3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert centroid_contrast(z, centroids.float(), q, 0.3).dtype == torch.float32
        assert image_by_image(centroids.float(), z, OWN, 0.99).dtype == torch.float32
