"""The contrastive family against its formula in float64, against its members, and against numbers of official codes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.clustering.moco import info_nce
from longtail.methods.losses.contrastive import contrast, supcon
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit
from tests.methods.golden import directions, golden, near, waves

# --- The formulas, term by term ---------------------------------------------------------------------------------------


def slow_contrast(logits, positives, competitors, divisor):
    losses = []
    for u, p, d, n in zip(logits, positives.tolist(), competitors.tolist(), divisor.tolist(), strict=True):
        below = torch.log(sum(d[b] * torch.exp(u[b]) for b in range(len(u))))
        losses.append(-sum(p[a] * (u[a] - below) for a in range(len(u))) / n)
    return torch.stack(losses)


def slow_supcon(a, b, labels, temperature):
    z = [row / row.norm() for row in (*a, *b)]
    y = labels.tolist() * 2
    total = torch.zeros((), dtype=a.dtype)
    for i in range(len(z)):
        below = sum(torch.exp(z[i] @ z[k] / temperature) for k in range(len(z)) if k != i)
        same = [j for j in range(len(z)) if j != i and y[j] == y[i]]
        total = total - sum(torch.log(torch.exp(z[i] @ z[j] / temperature) / below) for j in same) / len(same)
    return total / len(z)


def assert_same(found, expected, *inputs):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        torch.autograd.grad(found.sum(), inputs), torch.autograd.grad(expected.sum(), inputs), rtol=1e-8, atol=1e-10
    )


def randoms(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@given(seed=st.integers(0, 999), rows=st.integers(1, 4), columns=st.integers(1, 5))
def test_the_family_is_the_formula(seed, rows, columns):
    logits = randoms(seed, rows, columns)
    draws = torch.Generator().manual_seed(seed)
    positives = torch.rand(rows, columns, dtype=torch.float64, generator=draws)
    competitors = torch.rand(rows, columns, dtype=torch.float64, generator=draws)
    competitors[:, 1:] *= torch.rand(rows, columns - 1, generator=draws) < 0.7  # one at least is left
    divisor = 1 + torch.rand(rows, dtype=torch.float64, generator=draws)
    everyone, total = torch.ones_like(positives), positives.sum(1)
    for d, n, given_ in [
        (competitors, divisor, (competitors, divisor)),
        (competitors, total, (competitors,)),
        (everyone, total, ()),
    ]:
        assert_same(contrast(logits, positives, *given_), slow_contrast(logits, positives, d, n), logits)


def test_an_anchor_without_positives_has_no_loss():
    logits = randoms(0, 2, 3)
    loss = contrast(logits, torch.tensor([[False, False, False], [True, False, True]]))
    assert loss[0] == 0
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    assert not grad[0].any()
    assert grad[1].any()


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), temperature=st.sampled_from([0.07, 0.5]))
def test_supcon_is_the_formula(seed, rows, temperature):
    a, b = randoms(seed, rows, 4), randoms(seed + 1000, rows, 4)
    labels = torch.randint(3, (rows,), generator=torch.Generator().manual_seed(seed))
    assert_same(supcon(a, b, labels, temperature), slow_supcon(a, b, labels, temperature), a, b)


# --- Members ----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 999), rows=st.integers(1, 6))
def test_supcon_of_images_that_are_classes_is_nt_xent(seed, rows):
    a, b = randoms(seed, rows, 4), randoms(seed + 1000, rows, 4)
    assert_same(supcon(a, b, torch.arange(rows), 0.2), nt_xent(a, b, 0.2), a, b)


@given(seed=st.integers(0, 999), rows=st.integers(1, 6), queue=st.integers(1, 6))
def test_the_own_key_before_a_queue_is_the_loss_of_moco(seed, rows, queue):
    a, keys, negatives = randoms(seed, rows, 4), unit(randoms(seed + 1, rows, 4)), unit(randoms(seed + 2, queue, 4))
    q = unit(a)
    columns = torch.cat([(q * keys).sum(1, keepdim=True), q @ negatives.T], dim=1) / 0.07
    own = torch.arange(1 + queue).expand(rows, -1) == 0
    keys, negatives = keys.detach(), negatives.detach()
    assert_same(contrast(columns, own).mean(), info_nce(unit(a), keys, negatives, 0.07), a)


@pytest.mark.parametrize("count", [1.0, 3.0])
def test_equal_weights_of_all_columns_cost_their_logarithm(count):
    """Balanced contrast with as many columns of every class: without the weights, less log of the count."""
    logits, positives = randoms(0, 3, 5), torch.eye(3, 5)
    plain, weighted = contrast(logits, positives), contrast(logits, positives, torch.full((3, 5), 1 / count))
    torch.testing.assert_close(weighted, plain - math.log(count))


# --- Golden values, most of them of official codes on these inputs ----------------------------------------------------

Y = torch.tensor([0, 0, 1])


@pytest.fixture
def z1():
    return directions(3, 4, 0)


@pytest.fixture
def z2():
    return directions(3, 4, 100)


def norms(loss, *inputs):
    """The value, and the length of each input's gradient."""
    return loss.item(), *(grad.norm().item() for grad in torch.autograd.grad(loss, inputs))


def test_golden_supcon(z1, z2):
    assert norms(supcon(z1, z2, Y, 0.1) * 0.1 / 0.07, z1, z2) == near(8.158568, 5.373994, 6.944338)
    assert supcon(z1, z2, Y, 0.1).item() == pytest.approx(5.710998, abs=6e-7)
    assert norms(supcon(z1, z2, Y, 0.07), z1, z2) == near(7.906934, 5.314096, 7.161493)
    nobody = torch.arange(3)
    assert norms(supcon(z1, z2, nobody, 0.1) * 0.1 / 0.07, z1, z2) == near(8.424800, 7.276360, 9.103416)


def queued(z1, z2, *more):
    """Similarities of queries with their own keys, with the queue, and with ``more`` columns, over 0.1."""
    q, k, queue = unit(z1), unit(z2).detach(), directions(6, 4, 200).detach()
    return torch.cat([(q * k).sum(1, keepdim=True), q @ torch.cat([queue, *more]).T], dim=1) / 0.1


def columns(rows):
    """The columns of each anchor that are named, as a table."""
    return torch.tensor([[column in row for column in range(7)] for row in rows])


def test_golden_moco(z1, z2):
    assert golden(contrast(queued(z1, z2), columns([{0}] * 3)).mean(), z1) == near(6.933901, 5.766542)


# the queue's labels are 0 0 0 1 1 and none
CHOSEN = [{0, 1, 3}, {0, 1, 3}, {0, 4, 5}]


def test_golden_kcl(z1, z2):
    assert golden(contrast(queued(z1, z2), columns(CHOSEN)).mean(), z1) == near(5.377409, 3.171153)
    # version 2 has logits of 0 where keys of the class are not chosen
    unused = columns([{2}, {2}, set()])
    assert golden(contrast(queued(z1, z2).masked_fill(unused, 0), columns(CHOSEN)).mean(), z1) == near(
        5.373557, 3.162770
    )


ALL_OF_CLASS = [{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 4, 5}]


def test_golden_all_keys_of_the_class(z1, z2):
    assert golden(contrast(queued(z1, z2), columns(ALL_OF_CLASS)).mean(), z1) == near(5.129950, 2.171278)


def test_golden_targets(z1, z2):
    """TSC: targets 1 and 2 are those of classes 0 and 1; the code counts them fully and weighs them by 0.2."""
    targets = torch.tensor([[1, 0, 0, 0], [-0.5, 0.75**0.5, 0, 0], [-0.5, -(0.75**0.5), 0, 0]], dtype=torch.float64)
    assigned = torch.tensor([1, 1, 2])
    own = torch.nn.functional.one_hot(assigned, 3)
    positives = torch.cat([columns(ALL_OF_CLASS), 0.2 * own], dim=1)
    counted = torch.tensor([5, 5, 4])
    logits = queued(z1, z2, targets)
    assert golden(contrast(logits, positives, divisor=counted).mean(), z1) == near(4.835761, 1.795653)
    assert contrast(queued(z1, z2, targets), positives).mean().item() == pytest.approx(5.794761, abs=6e-7)


def test_golden_balanced_contrast(z1, z2):
    """BCL: prototypes are positives of their class, and every class counts once among the columns."""
    prototypes = directions(3, 4, 300)
    z, y = torch.cat([unit(z1), unit(z2)]), Y.repeat(2)
    labels = torch.cat([y, torch.arange(3)])
    logits = z @ torch.cat([z, unit(prototypes)]).T / 0.1
    others = ~torch.eye(6, 9, dtype=torch.bool)
    same = others & (y[:, None] == labels)
    members = torch.stack([(others & (labels == k)).sum(1) for k in range(3)], dim=1)[:, labels]
    assert members[0, [6, 7, 8]].tolist() == [4, 3, 1]
    loss = contrast(logits, same, others / members).mean()
    assert norms(loss, z1, z2, prototypes) == near(5.128412, 2.956631, 3.279103, 1.212411)


def test_golden_parametric_contrast(z1, z2):
    """PaCo: centres with log pi in front; queries, keys and queue behind; classes' members weigh 0.05."""
    s = waves(3, 3, 400)
    queue, labels = directions(2, 4, 200).detach(), torch.cat([Y, Y, torch.tensor([0, 2])])
    q, prior = unit(z1), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    logits = torch.cat([s + prior.log(), q @ torch.cat([q, unit(z2).detach(), queue]).T / 0.2], dim=1)
    others = torch.cat([torch.ones(3, 3, dtype=torch.bool), ~torch.eye(3, 8, dtype=torch.bool)], dim=1)
    same = others[:, 3:] & (Y[:, None] == labels)
    positives = torch.cat([torch.nn.functional.one_hot(Y, 3), 0.05 * same], dim=1)
    assert tuple(positives.sum(1).tolist()) == near(1.2, 1.2, 1.05)
    divided, undivided = contrast(logits, positives, others), contrast(logits, positives, others, torch.ones(3))
    for loss, values in [
        (divided, (4.287867, 1.571568, 0.487895)),
        (undivided, (4.928987, 1.808383, 0.556405)),
    ]:
        grads = torch.autograd.grad(loss.mean(), (z1, s), retain_graph=True)
        assert (loss.mean().item(), *(grad.norm().item() for grad in grads)) == near(*values)


def test_golden_global_positives(z1, z2):
    """GloCo: every positive is an anchor's only one, against the queue, at a temperature of the anchor's class."""
    queue, more = directions(6, 4, 200).detach(), [directions(3, 4, offset).detach() for offset in (700, 800)]
    q, temperatures = unit(z1), torch.tensor([1.0, 1.0, 0.628], dtype=torch.float64)[:, None]
    each = []
    for positive in (unit(z2).detach(), *more):
        logits = torch.cat([(q * positive).sum(1, keepdim=True), q @ queue.T], dim=1) / temperatures
        each.append(contrast(logits, columns([{0}] * 3)))
    assert golden(torch.stack(each).mean(), z1) == near(2.184489, 0.195778)


def test_half_precision_is_left_for_full():
    a, b = (v.detach().bfloat16() for v in (directions(3, 4, 0), directions(3, 4, 100)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert supcon(a, b, Y, 0.1).dtype == torch.float32
