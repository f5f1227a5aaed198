"""PaCo and BCL against their formulas in float64, and against numbers of their codes."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.parametric_contrast import balanced_contrast, paco
from tests.methods.golden import directions, near, waves
from tests.methods.losses.test_key_contrast import assert_same, classes, units

SIZES = torch.tensor([5, 3, 2])
Y = torch.tensor([0, 0, 1])


def logits_of(seed, rows):
    values = torch.randn(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return values.requires_grad_()


def slow_paco(q, key, y, past, past_labels, s, alpha, temperature, divided):
    total = torch.zeros((), dtype=q.dtype)
    for i in range(len(q)):
        columns = [(s[i, c] + math.log(SIZES[c].item() / 10), 1.0 * (y[i] == c)) for c in range(3)]
        others = [(q[j], y[j]) for j in range(len(q)) if j != i]
        others += [(key[j], y[j]) for j in range(len(key))] + [(past[j], past_labels[j]) for j in range(len(past))]
        columns += [(q[i] @ z / temperature, alpha * (label == y[i])) for z, label in others]
        below = torch.log(sum(torch.exp(u) for u, _ in columns))
        weight = sum(p for _, p in columns) if divided else 1
        total = total - sum(p * (u - below) for u, p in columns) / weight
    return total / len(q)


@given(seed=st.integers(0, 999), divided=st.booleans(), rows=st.integers(1, 4), size=st.integers(1, 5))
def test_paco_is_the_formula(seed, divided, rows, size):
    q, key, past, s = (
        units(seed, rows),
        units(seed + 1, rows, False),
        units(seed + 2, size, False),
        logits_of(seed, rows),
    )
    y, past_labels = classes(seed, rows), classes(seed + 1, size, -1)
    found = paco(q, key, y, past, past_labels, s, SIZES, 0.3, 0.5, divided)
    expected = slow_paco(q, key, y.tolist(), past, past_labels.tolist(), s, 0.3, 0.5, divided)
    assert_same(found, expected, *((q, s) if rows > 1 or size else (s,)))


@given(seed=st.integers(0, 999), groups=st.integers(2, 3), rows=st.integers(1, 2))
def test_groups_of_queries_meet_as_batches_of_their_own_and_the_whole_queue(seed, groups, rows):
    q, key, past = units(seed, groups * rows), units(seed + 1, groups * rows, False), units(seed + 2, 3, False)
    s, y, past_labels = logits_of(seed, groups * rows), classes(seed, groups * rows), classes(seed + 1, 3, -1)
    expected = torch.zeros((), dtype=q.dtype)
    for gpu in range(groups):
        own = (part[gpu::groups] for part in (q, key, y.tolist()))
        part = slow_paco(*own, past, past_labels.tolist(), s[gpu::groups], 0.3, 0.5, True)
        expected = expected + part / groups
    assert_same(paco(q, key, y, past, past_labels, s, SIZES, 0.3, 0.5, groups=groups), expected, q, s)


@given(seed=st.integers(0, 999))
def test_paco_of_centres_alone_is_the_logit_adjusted_loss(seed):
    """With alpha = 0 and contrast at no logit of weight: all that is left of a query are its centres."""
    s, y = logits_of(seed, 1), classes(seed, 1)
    q = units(seed, 1, False)
    alone = paco(q, -q, y, -q, torch.tensor([-1]), s, SIZES, 0.0, 1e-3)
    assert_same(alone, logit_adjusted(s, y, SIZES), s)


def test_golden_paco():
    q, key, s = directions(3, 4, 0), directions(3, 4, 100).detach(), waves(3, 3, 400)
    queue, labels = directions(2, 4, 200).detach(), torch.tensor([0, 2])
    for divided, values in [(True, (4.287867, 1.571568, 0.487895)), (False, (4.928987, 1.808383, 0.556405))]:
        loss = paco(unit(q), key, Y, queue, labels, s, SIZES, 0.05, 0.2, divided)
        grads = torch.autograd.grad(loss, (q, s))
        assert (loss.item(), *(grad.norm().item() for grad in grads)) == near(*values)


def slow_bcl(a, b, prototypes, y, temperature):
    z, labels, count = [*a, *b], [*y, *y], len(prototypes)
    total = torch.zeros((), dtype=a.dtype)
    for i in range(len(z)):
        members = {
            c: [z[j] for j in range(len(z)) if labels[j] == c and j != i] + [prototypes[c]] for c in range(count)
        }
        below = sum(sum(torch.exp(z[i] @ m / temperature) for m in of) / len(of) for of in members.values())
        own = members[labels[i]]
        total = total - sum(torch.log(torch.exp(z[i] @ m / temperature) / below) for m in own) / len(own)
    return total / len(z)


@given(seed=st.integers(0, 999), rows=st.integers(1, 4))
def test_bcl_is_the_formula(seed, rows):
    """Classes that no image is of are there, too: by their prototype."""
    a, b, prototypes, y = units(seed, rows), units(seed + 1, rows), units(seed + 2, 3), classes(seed, rows)
    found = balanced_contrast(a, b, prototypes, y, 0.3)
    assert_same(found, slow_bcl(a, b, prototypes, y.tolist(), 0.3), a, b, prototypes)


def test_golden_bcl():
    z1, z2, prototypes = directions(3, 4, 0), directions(3, 4, 100), directions(3, 4, 300)
    loss = balanced_contrast(unit(z1), unit(z2), unit(prototypes), Y, 0.1)
    grads = torch.autograd.grad(loss, (z1, z2, prototypes))
    assert (loss.item(), *(grad.norm().item() for grad in grads)) == near(5.128412, 2.956631, 3.279103, 1.212411)


@given(seed=st.integers(0, 999), count=st.sampled_from([2.0, 3.0]))
def test_bcl_of_classes_of_one_size_is_supcon_of_the_same_columns(seed, count):
    """Up to log of the size. No batch of two views has such classes, so that the weights are set by hand."""
    z, prototypes, y = units(seed, 4), units(seed + 1, 3), classes(seed, 4)
    logits = z @ torch.cat([z, prototypes]).T / 0.3
    others = torch.cat([~torch.eye(4, dtype=torch.bool), torch.ones(4, 3, dtype=torch.bool)], dim=1)
    same = others & (y[:, None] == torch.cat([y, torch.arange(3)]))
    balanced = contrast(logits, same, others.double() / count)
    torch.testing.assert_close(balanced, contrast(logits, same, others) - math.log(count))


def test_half_precision_is_left_for_full():
    z = directions(3, 4, 0).detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert balanced_contrast(z, z, z, Y, 0.1).dtype == torch.float32
        assert paco(z, z, Y, z, Y, z[:, :3], SIZES, 0.1, 0.1).dtype == torch.float32
