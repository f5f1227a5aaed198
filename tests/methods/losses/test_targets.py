"""TSC's targets, their assignment and its loss, against formulas in float64 and numbers of the code."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.key_contrast import batch_kcl, batch_positives, queue_columns, queue_positives
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.targets import (
    assigned,
    batch_tsc,
    moved_centroids,
    optimised,
    simplex,
    targeted,
    tsc,
    uniformity,
)
from tests.methods.golden import directions, golden, near
from tests.methods.losses.test_key_contrast import assert_same, classes, seeded, units

Y = torch.tensor([0, 0, 1])
TARGETS = torch.tensor([[1, 0, 0, 0], [-0.5, 0.75**0.5, 0, 0], [-0.5, -(0.75**0.5), 0, 0]], dtype=torch.float64)

# --- Where the targets are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "width"), [(2, 1), (3, 4), (4, 3), (10, 128), (100, 128)])
def test_a_simplex_has_the_same_angle_between_any_two(count, width):
    targets = simplex(count, width)
    expected = torch.full((count, count), -1 / (count - 1), dtype=torch.float64).fill_diagonal_(1)
    torch.testing.assert_close(targets @ targets.T, expected, rtol=0, atol=1e-12)


def test_a_simplex_is_what_the_descent_tends_to():
    assert uniformity(simplex(3, 4)).item() == pytest.approx(14.285714, abs=6e-7)
    found = optimised(4, 3, updates=500)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    least = uniformity(simplex(4, 3)).item()
    assert least <= uniformity(found.double()).item() + 1e-9
    assert uniformity(found.double()).item() == pytest.approx(least, abs=0.01)


def test_more_classes_than_a_simplex_holds_are_placed_the_same_each_time():
    found = optimised(5, 2, updates=50)
    assert torch.equal(found, optimised(5, 2, updates=50))
    start = optimised(5, 2, updates=1)
    assert uniformity(found) < uniformity(start)


# --- Whose they are ---------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 999))
def test_centroids_move_where_there_are_images(seed):
    centroids, z, y = units(seed, 3, False), units(seed + 1, 4, False), classes(seed, 4)
    found = moved_centroids(centroids, z, y)
    for k in range(3):
        of_class = [z[i] for i in range(4) if y[i] == k]
        expected = centroids[k]
        if of_class:
            mean = sum(of_class) / len(of_class)
            expected = 0.9 * centroids[k] + 0.1 * mean / mean.norm()
            expected = expected / expected.norm()
        torch.testing.assert_close(found[k], expected)


@given(seed=st.integers(0, 999))
def test_classes_have_the_targets_that_are_nearest_to_all_of_them_together(seed):
    centroids, targets = units(seed, 4, False), units(seed + 1, 4, False)
    found = assigned(centroids, targets)
    best = max(itertools.permutations(range(4)), key=lambda own: sum(centroids[k] @ targets[own[k]] for k in range(4)))
    assert tuple(found.tolist()) == best


def test_golden_centroids():
    z1, before = directions(3, 4, 0).detach(), directions(3, 4, 300).detach()
    after = moved_centroids(before, z1, Y)
    assert after[0].tolist() == pytest.approx([-0.465925, -0.459504, -0.720578, 0.229209], abs=6e-7)
    assert after[1].tolist() == pytest.approx([0.382696, -0.533782, 0.706261, 0.264226], abs=6e-7)
    assert torch.equal(after[2], before[2])
    assert assigned(after, TARGETS).tolist() == [1, 2, 0]


# --- The loss ---------------------------------------------------------------------------------------------------------


def slow_tsc(a, b, y, targets, own, chosen, temperature, weight, counted):
    z, rows = [*a, *b], len(a)
    total = torch.zeros((), dtype=a.dtype)
    for i in range(2 * rows):
        below = sum(torch.exp(z[i] @ z[j] / temperature) for j in range(2 * rows) if j != i)
        below = below + sum(torch.exp(z[i] @ t / temperature) for t in targets)
        positives = [z[j] for j in range(2 * rows) if chosen[i][j]]
        images = sum(torch.log(torch.exp(z[i] @ p / temperature) / below) for p in positives)
        target = weight * torch.log(torch.exp(z[i] @ targets[own[y[i % rows]]] / temperature) / below)
        count = len(positives)  # the other view and those drawn
        total = total - ((images + target) / (count + 1) if counted else images / count + target)
    return total / (2 * rows)


@given(seed=st.integers(0, 999), k=st.sampled_from([0, 2, None]), rows=st.integers(1, 3), counted=st.booleans())
def test_tsc_is_the_formula(seed, k, rows, counted):
    a, b, y, own = units(seed, rows), units(seed + 1, rows), classes(seed, rows), torch.tensor([1, 2, 0])
    chosen = batch_positives(y, k, seeded(seed))[0].tolist()
    found = batch_tsc(a, b, y, TARGETS, own, k, 0.3, 0.2, counted, seeded(seed))
    assert_same(found, slow_tsc(a, b, y.tolist(), TARGETS, own.tolist(), chosen, 0.3, 0.2, counted), a, b)


def slow_queue_tsc(q, key, past, y, targets, own, chosen, temperature, weight, counted):
    total = torch.zeros((), dtype=q.dtype)
    for i in range(len(q)):
        columns = [key[i], *past]
        below = sum(torch.exp(q[i] @ column / temperature) for column in [*columns, *targets])
        positives = [column for column, taken in zip(columns, chosen[i], strict=True) if taken]
        keys = sum(torch.log(torch.exp(q[i] @ p / temperature) / below) for p in positives)
        target = weight * torch.log(torch.exp(q[i] @ targets[own[y[i]]] / temperature) / below)
        count = len(positives)  # the own key and those drawn
        total = total - ((keys + target) / (count + 1) if counted else keys / count + target)
    return total / len(q)


@given(seed=st.integers(0, 999), k=st.sampled_from([0, 2, None]), rows=st.integers(1, 3), counted=st.booleans())
def test_tsc_against_a_queue_is_the_formula(seed, k, rows, counted):
    q, key, past = units(seed, rows), units(seed + 1, rows, False), units(seed + 2, 5, False)
    y, past_y, own = classes(seed, rows), classes(seed + 1, 5, -1), torch.tensor([1, 2, 0])
    chosen = queue_positives(y, past_y, k, seeded(seed)).tolist()
    found = tsc(q, key, y, past, past_y, TARGETS, own, k, 0.3, 0.2, counted, seeded(seed))
    expected = slow_queue_tsc(q, key, past, y.tolist(), TARGETS, own.tolist(), chosen, 0.3, 0.2, counted)
    assert_same(found, expected, q)


@pytest.mark.parametrize(("counted", "values"), [(True, (4.835761, 1.795653)), (False, (7.643909, 2.632686))])
def test_golden_targets(counted, values):
    """Against a queue: trap 22, lambda weighs the target's term, and the divisor counts it fully."""
    z1, z2, past = directions(3, 4, 0), directions(3, 4, 100).detach(), directions(6, 4, 200).detach()
    q = unit(z1)
    positives = queue_positives(Y, torch.tensor([0, 0, 0, 1, 1, -1]), None, seeded(0))
    own = torch.tensor([1, 2, 0])
    loss = targeted(queue_columns(q, z2, past, 0.1), positives, q @ TARGETS.T / 0.1, own[Y], 0.2, counted).mean()
    assert golden(loss, z1) == near(*values)
    queue = (past, torch.tensor([0, 0, 0, 1, 1, -1]))
    whole = tsc(unit(z1), z2, Y, *queue, TARGETS, own, None, 0.1, 0.2, counted, seeded(0))
    assert golden(whole, z1) == near(*values)


@given(seed=st.integers(0, 999), rows=st.integers(1, 4))
def test_without_weight_the_targets_are_columns_alone(seed, rows):
    """It differs from KCL through the K columns more, and through the divisor where that counts the target."""
    a, b, y = units(seed, rows), units(seed + 1, rows), classes(seed, rows)
    own, z = torch.arange(3), torch.cat([a, b])
    positives, others = batch_positives(y, 2, seeded(seed))
    logits = torch.cat([z @ z.T, z @ TARGETS.T], dim=1) / 0.3
    none, all_ = torch.zeros(2 * rows, 3, dtype=torch.bool), torch.ones(2 * rows, 3, dtype=torch.bool)
    with_columns = contrast(logits, torch.cat([positives, none], 1), torch.cat([others, all_], 1))
    plain = batch_tsc(a, b, y, TARGETS, own, 2, 0.3, 0.0, False, seeded(seed))
    torch.testing.assert_close(plain, with_columns.mean())
    counted = batch_tsc(a, b, y, TARGETS, own, 2, 0.3, 0.0, True, seeded(seed))
    count = positives.sum(1).double()
    torch.testing.assert_close(counted, (with_columns * count / (count + 1)).mean())
    assert plain > batch_kcl(a, b, y, 2, 0.3, seeded(seed))


def test_the_target_weighs_eight_times_less_in_the_code():
    """With six positives: lambda / (k + 2) against lambda."""
    q = torch.zeros(1, 8, dtype=torch.float64)
    positives, targets = torch.arange(8)[None] < 7, torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    own = torch.tensor([1])
    shares = []
    for counted in (True, False):
        with_, without = (targeted(q, positives, targets, own, weight, counted) for weight in (0.2, 0.0))
        shares.append((with_ - without).item())
    assert shares[1] / shares[0] == pytest.approx(8)


def test_half_precision_is_left_for_full():
    z = directions(3, 4, 0).detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert batch_tsc(z, z, Y, z, Y, 1, 0.1, 0.2, True, seeded(0)).dtype == torch.float32
        assert moved_centroids(z.float(), z, Y).dtype == torch.float32
