"""The robust loss of DRO-LT against loops over classes and images in float64, and against numbers of its code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.methods.losses.robust import robust
from tests.methods.golden import near, waves
from tests.methods.losses.test_classification import problem


def slow_robust(features, labels, means, margins, temperature, misaligned):
    """Class by class; misaligned, the j-th image in the order of classes has the margin of the j-th of the batch."""
    labels = labels.tolist()
    of = list(labels)
    if misaligned:
        for j, i in enumerate(sorted(range(len(labels)), key=labels.__getitem__)):
            of[i] = labels[j]
    total, present = 0.0, sorted(set(labels))
    for c in present:
        u = []
        for h, y, k in zip(features, labels, of, strict=True):
            away = (means[c] - h).square().sum().sqrt()
            u.append(-(away + margins[k] * (y == c)) / temperature)
        below = torch.log(sum(torch.exp(value) for value in u))
        own = [value - below for value, y in zip(u, labels, strict=True) if y == c]
        total = total - sum(own) / len(own)
    return total / len(present)


@settings(max_examples=40)
@given(seed=st.integers(0, 999), rows=st.integers(1, 6), misaligned=st.booleans(), temperature=st.floats(0.3, 3))
def test_the_loss_is_the_formula(seed, rows, misaligned, temperature):
    """Also of one image, and where classes are absent."""
    features, labels, _ = problem(seed, rows, 4)
    means, margins = problem(seed + 1, 3, 4)[0].detach(), problem(seed + 2, 1, 3)[0].detach()[0].requires_grad_()
    labels = labels % 3
    arguments = features, labels, means, margins, temperature, misaligned
    found, expected = robust(*arguments), slow_robust(*arguments)
    torch.testing.assert_close(found, expected)
    grads = zip(*(torch.autograd.grad(loss, (features, margins)) for loss in (found, expected)), strict=True)
    for ours, wanted in grads:
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("margins", "misaligned", "expected"),
    [
        ([1, 1, 1], True, (2.257505, 0.351995, 0.553257)),
        ([1, 1, 1], False, (2.257505, 0.351995, 0.552706)),
        ([1, 0.5, 2], True, (2.092237, 0.326865)),
        ([1, 0.5, 2], False, (2.085512, 0.337016)),
    ],
)
def test_golden_values(margins, misaligned, expected):
    h, train = waves(4, 4, 0), waves(6, 4, 100).detach()
    eps = torch.tensor(margins, dtype=torch.float64, requires_grad=True)
    means = torch.stack([pair.mean(0) for pair in train.split(2)])
    loss = robust(h, torch.tensor([1, 0, 1, 0]), means, eps, 1.0, misaligned)
    values = (loss.item(), *(grad.norm().item() for grad in torch.autograd.grad(loss, (h, eps))))
    assert values[: len(expected)] == near(*expected)


def test_margins_of_absent_classes_get_no_gradient():
    eps = torch.ones(3, dtype=torch.float64, requires_grad=True)
    robust(waves(4, 4, 0), torch.tensor([2, 0, 2, 0]), waves(3, 4, 100).detach(), eps, 1.0).backward()
    assert (eps.grad != 0).tolist() == [True, False, True]


def test_a_batch_of_one_class_and_one_distance_has_log_of_its_size():
    means, features = torch.zeros(2, 4), torch.eye(4)
    loss = robust(features, torch.zeros(4).long(), means, torch.tensor([5.0, 0.0]), 0.5)
    assert loss.item() == pytest.approx(math.log(4))


def test_a_feature_on_the_mean_of_its_class_has_a_finite_gradient():
    features = torch.zeros(2, 4, requires_grad=True)
    robust(features, torch.tensor([0, 1]), torch.zeros(2, 4), torch.ones(2), 1.0).backward()
    assert features.grad.isfinite().all()


def test_half_precision_is_left_for_full():
    h = waves(4, 4, 0).detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert robust(h, torch.tensor([1, 0, 1, 0]), h, h[0], 1.0).dtype == torch.float32
