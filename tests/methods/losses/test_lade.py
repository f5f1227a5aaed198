"""LADE's losses against loops over images and classes in float64, and against the numbers of its code."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.lade import lade, lade_regularizer
from tests.methods.golden import LABELS, LOGITS, SIZES, golden, near, tensor
from tests.methods.losses.test_classification import PROBLEMS, assert_same, problem, slow_adjusted


def slow_regularizer(logits, labels, sizes, remine_lambda):
    rows, classes = logits.shape
    total = 0.0
    for k in range(classes):
        share = sizes[k] / sum(sizes)
        members = [i for i in range(rows) if labels[i] == k]
        t = sum(logits[i, k] for i in members) / len(members) if members else 0.0
        r = torch.log(sum(torch.exp(logits[i, k] - math.log(share) - math.log(classes)) for i in range(rows)) / rows)
        total = total - share * (t - r - remine_lambda * r**2)
    return total


@PROBLEMS
def test_the_regularizer_is_the_formula(seed, rows, classes):
    logits, labels, sizes = problem(seed, rows, classes)
    expected = slow_regularizer(logits, labels, sizes.tolist(), 0.1)
    assert_same(lade_regularizer(logits, labels, sizes, 0.1), expected, logits)


@given(seed=st.integers(0, 999), alpha=st.sampled_from([0.0, 0.1, 2.0]))
def test_the_loss_is_the_formula(seed, alpha):
    logits, labels, sizes = problem(seed, 5, 4)
    sizes_ = sizes.tolist()
    expected = slow_adjusted(logits, labels, sizes_, 1.0) + alpha * slow_regularizer(logits, labels, sizes_, 0.01)
    assert_same(lade(logits, labels, sizes, alpha, 0.01), expected, logits)


def test_golden_values():
    logits = tensor(LOGITS)
    assert golden(lade_regularizer(logits, LABELS, SIZES, 0.01), logits) == near(-0.823151, 0.400371)
    assert golden(lade(logits, LABELS, SIZES, 0.1, 0.01), logits) == near(2.270455, 0.578774)


@PROBLEMS
def test_without_regularizer_it_is_balanced_softmax(seed, rows, classes):
    logits, labels, sizes = problem(seed, rows, classes)
    assert_same(lade(logits, labels, sizes, 0.0, 0.01), logit_adjusted(logits, labels, sizes), logits)


def test_the_first_term_takes_logits_as_they_are_and_the_second_shifts_them():
    """With equal classes the shift is 0; both terms weigh by the shares, and absent classes count in the second."""
    logits, equal = tensor(LOGITS), torch.ones(4)
    means = [LOGITS[0][0], 0, LOGITS[1][2], LOGITS[2][3]]
    second = (logits.logsumexp(0) - math.log(3)).sum() / 4
    torch.testing.assert_close(lade_regularizer(logits, LABELS, equal, 0.0), second - sum(means) / 4)
    (gradient,) = torch.autograd.grad(lade_regularizer(logits, LABELS, equal, 0.0), logits)
    assert bool((gradient[:, 1] > 0).all())


def test_large_logits_of_absent_classes_stay_finite():
    logits = torch.full((2, 3), 200.0, requires_grad=True)
    loss = lade(logits, torch.tensor([0, 0]), torch.tensor([5000, 5, 1]), 0.1, 0.01)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(logits.grad.isfinite().all())
