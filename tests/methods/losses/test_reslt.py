"""ResLT's losses against loops over branches and images in float64, and against the numbers of its code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.reslt import individual, reslt
from tests.methods.golden import LABELS, LOGITS, golden, near, tensor
from tests.methods.losses.test_classification import assert_same, slow_ce

FIRST = (0, 1, 2)


def slow_individual(logits, labels, first_classes):
    total, terms = 0.0, 0
    for branch, first in zip(logits, first_classes, strict=True):
        for s, y in zip(branch, labels.tolist(), strict=True):
            if y >= first:
                total = total - torch.log(torch.exp(s[y]) / sum(torch.exp(value) for value in s) + 1e-7)
                terms += 1
    return total / terms


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), beta=st.sampled_from([0.0, 0.72, 0.998, 1.0]))
def test_the_loss_is_the_formula(seed, rows, beta):
    draws = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(3, rows, 5, dtype=torch.float64, generator=draws)).requires_grad_()
    labels = torch.randint(5, (rows,), generator=draws)
    assert_same(individual(logits, labels, (0, 2, 4)), slow_individual(logits, labels, (0, 2, 4)), logits)
    fused = slow_ce(logits[0] + logits[1] + logits[2], labels)
    expected = beta * slow_individual(logits, labels, (0, 2, 4)) + (1 - beta) * fused
    assert_same(reslt(logits, labels, (0, 2, 4), beta), expected, logits)


def golden_logits():
    s = tensor(LOGITS).detach()
    return torch.stack([s, s / 2, s.flip(1)]).requires_grad_()


def test_golden_values():
    logits = golden_logits()
    assert golden(individual(logits, LABELS, FIRST), logits) == near(1.466272, 0.321492)
    assert golden(cross_entropy(logits.sum(0), LABELS), logits) == near(1.362033, 0.808106)
    assert golden(reslt(logits, LABELS, FIRST, 0.995), logits) == near(1.465750, 0.323472)
    assert golden(reslt(logits, LABELS, FIRST, 0.72), logits) == near(1.437085, 0.444565)


def test_a_branch_learns_from_its_classes_alone():
    """Of labels 0, 2 and 3 the branches take three, two and two, seven in all."""
    logits = golden_logits()
    (gradient,) = torch.autograd.grad(individual(logits, LABELS, FIRST), logits)
    assert gradient.abs().sum(2).gt(0).tolist() == [[True] * 3, [False, True, True], [False, True, True]]
    torch.testing.assert_close(individual(logits, LABELS, (0, 4, 4)), slow_ce(logits[0], LABELS), rtol=1e-6, atol=1e-6)


def test_a_batch_of_the_largest_classes_leaves_the_other_branches_alone():
    logits = golden_logits()
    loss = individual(logits, torch.tensor([0, 0, 0]), FIRST)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert bool(loss.isfinite())
    assert not gradient[1:].any()


def test_an_image_that_is_far_off_costs_a_bounded_loss():
    logits = torch.tensor([[[100.0, 0.0]]], requires_grad=True)
    loss = individual(logits, torch.tensor([1]), (0,))
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(1e-7))
    assert logits.grad.abs().max() < 1e-30


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), floored=st.booleans())
def test_classes_may_stand_in_another_order_than_their_numbers(seed, rows, floored):
    """jiequancui/ResLT sorts the labels of the large sets by size before it trains; places do the same."""
    draws = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(3, rows, 5, dtype=torch.float64, generator=draws)).requires_grad_()
    labels, place_of = torch.randint(5, (rows,), generator=draws), torch.randperm(5, generator=draws)
    total, terms, fused = 0.0, 0, 0.0
    for i, y in enumerate(labels.tolist()):
        for branch, first in zip(logits, (0, 2, 4), strict=True):
            if place_of[y] >= first:
                total, terms = total - torch.log(branch[i].softmax(0)[y] + 1e-7), terms + 1
        probability = logits[:, i].sum(0).softmax(0)[y]
        fused = fused - torch.log(probability + (1e-7 if floored else 0)) / rows
    found = reslt(logits, labels, (0, 2, 4), 0.9, place_of[labels], floored)
    assert_same(found, 0.9 * total / terms + 0.1 * fused, logits)
