"""Losses of classifiers against loops over images and classes in float64, and against the numbers of official codes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import accuracy, cross_entropy, ldam, ldam_margins, logit_adjusted
from longtail.methods.losses.long_tailed import balanced_cross_entropy, class_balanced_weights
from tests.methods.golden import COSINES, LABELS, LOGITS, SIZES, golden, near, tensor

# --- The formulas, term by term ---------------------------------------------------------------------------------------


def slow_ce(logits, labels, weights=None):
    weights = weights or [1.0] * logits.shape[1]
    total, divisor = 0.0, 0.0
    for s, y in zip(logits, labels.tolist(), strict=True):
        total = total - weights[y] * torch.log(torch.exp(s[y]) / sum(torch.exp(value) for value in s))
        divisor += weights[y]
    return total / divisor


def slow_weights(sizes, beta):
    each = [(1 - beta) / (1 - beta**n) for n in sizes]
    return [w * len(sizes) / sum(each) for w in each]


def slow_adjusted(logits, labels, sizes, tau):
    return slow_ce(logits + torch.tensor([tau * math.log(n / sum(sizes)) for n in sizes], dtype=torch.float64), labels)


def slow_margins(sizes, largest):
    smallest = min(sizes)
    return [largest * (smallest / n) ** 0.25 for n in sizes]


def slow_ldam(cosines, labels, sizes, largest, scale, weights=None):
    margins = slow_margins(sizes, largest)
    lowered = torch.stack(
        [
            torch.stack([scale * (c - margins[k] * (k == y)) for k, c in enumerate(row)])
            for row, y in zip(cosines, labels.tolist(), strict=True)
        ]
    )
    return slow_ce(lowered, labels, weights)


def problem(seed, rows, classes):
    """Random logits, labels of which classes may be absent, and sizes."""
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, dtype=torch.float64, generator=draws).requires_grad_()
    labels = torch.randint(classes, (rows,), generator=draws)
    sizes = torch.randint(1, 6000, (classes,), generator=draws)
    return logits, labels, sizes


PROBLEMS = given(seed=st.integers(0, 999), rows=st.integers(1, 6), classes=st.integers(2, 6))


def assert_same(loss, expected, logits):
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, logits)[0] for value in (loss, expected)), rtol=1e-9, atol=1e-10
    )


@PROBLEMS
def test_cross_entropy_is_the_formula(seed, rows, classes):
    logits, labels, _ = problem(seed, rows, classes)
    assert_same(cross_entropy(logits, labels), slow_ce(logits, labels), logits)


@PROBLEMS
def test_weighted_cross_entropy_is_the_weighted_mean(seed, rows, classes):
    logits, labels, sizes = problem(seed, rows, classes)
    weights = class_balanced_weights(sizes, 0.9999)
    slow = slow_weights(sizes.tolist(), 0.9999)
    assert weights.tolist() == pytest.approx(slow, rel=1e-9)
    assert_same(cross_entropy(logits, labels, weights), slow_ce(logits, labels, slow), logits)


@PROBLEMS
def test_logit_adjustment_is_the_formula(seed, rows, classes):
    logits, labels, sizes = problem(seed, rows, classes)
    for tau in (0.5, 1.0, 1.5):
        expected = slow_adjusted(logits, labels, sizes.tolist(), tau)
        assert_same(logit_adjusted(logits, labels, sizes, tau), expected, logits)


@PROBLEMS
def test_ldam_is_the_formula(seed, rows, classes):
    logits, labels, sizes = problem(seed, rows, classes)
    margins = ldam_margins(sizes, 0.5)
    assert margins.tolist() == pytest.approx(slow_margins(sizes.tolist(), 0.5), rel=1e-12)
    weights = class_balanced_weights(sizes, 0.99)
    slow = slow_weights(sizes.tolist(), 0.99)
    for scale in (1.0, 30.0):
        assert_same(
            ldam(scale * logits, labels, scale * margins, weights),
            slow_ldam(logits, labels, sizes.tolist(), 0.5, scale, slow),
            logits,
        )


# --- Identities -------------------------------------------------------------------------------------------------------


@PROBLEMS
def test_what_is_the_same(seed, rows, classes):
    logits, labels, sizes = problem(seed, rows, classes)
    ce = cross_entropy(logits, labels)
    balanced = logit_adjusted(logits, labels, sizes)
    torch.testing.assert_close(cross_entropy(logits, labels, class_balanced_weights(sizes, 0.0)), ce)
    torch.testing.assert_close(cross_entropy(logits, labels, torch.full((classes,), 3.0)), ce)
    torch.testing.assert_close(logit_adjusted(logits, labels, sizes, 0.0), ce)
    torch.testing.assert_close(ldam(logits, labels, ldam_margins(sizes, 0.0)), ce)
    torch.testing.assert_close(balanced, balanced_cross_entropy(logits, labels, sizes.double()).mean())
    torch.testing.assert_close(balanced, cross_entropy(logits + sizes.double().log(), labels))


def test_weights_of_extreme_beta():
    assert class_balanced_weights(SIZES, 0.0).tolist() == [1.0] * 4
    inverse = 1 / SIZES.double()
    torch.testing.assert_close(class_balanced_weights(SIZES, 1 - 1e-12), inverse / inverse.mean(), rtol=1e-9, atol=0)


# --- Golden values ----------------------------------------------------------------------------------------------------


def test_golden_cross_entropy():
    s = tensor(LOGITS)
    weights = class_balanced_weights(SIZES, 0.9999)
    assert golden(cross_entropy(s, LABELS), s) == near(1.389398, 0.461243)
    assert golden(cross_entropy(s, LABELS, weights), s) == near(1.025429, 0.510985)


@pytest.mark.parametrize(
    ("beta", "values"),
    [(0.9999, (0.062468, 0.207500, 0.621879, 3.108152)), (0.999999, (0.062179, 0.207256, 0.621763, 3.108802))],
)
def test_golden_weights(beta, values):
    assert tuple(class_balanced_weights(SIZES, beta).tolist()) == near(*values)


CIFAR10 = torch.tensor([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])


def test_golden_weights_and_margins_of_cifar10():
    assert tuple(class_balanced_weights(CIFAR10, 0.9999).tolist()) == near(
        0.050611, 0.076900, 0.121134, 0.195037, 0.318805, 0.524590, 0.868349, 1.442627, 2.409223, 3.992724
    )  # fmt: skip
    weights, margins = class_balanced_weights(CIFAR10, 0.999999), ldam_margins(CIFAR10, 0.5)
    assert (weights[0].item(), weights[-1].item()) == near(0.040333, 4.023346)
    assert (margins[0].item(), margins[-1].item()) == near(0.158114, 0.5)


def test_golden_logit_adjustment():
    s = tensor(LOGITS)
    assert golden(logit_adjusted(s, LABELS, SIZES), s) == near(2.352770, 0.557387)
    assert golden(logit_adjusted(s, LABELS, SIZES, 0.5), s) == near(1.685162, 0.499591)


def test_golden_ldam():
    c, margins = tensor(COSINES), ldam_margins(SIZES, 0.5)
    weights = class_balanced_weights(SIZES, 0.9999)
    assert tuple(margins.tolist()) == near(0.188030, 0.254066, 0.334370, 0.5)
    assert golden(ldam(30 * c, LABELS, 30 * margins), c) == near(21.356029, 19.992093)
    assert golden(ldam(30 * c, LABELS, 30 * margins, weights), c) == near(32.134681, 35.455938)


# --- What the loop needs ----------------------------------------------------------------------------------------------


def test_half_precision_is_left_for_full():
    s = torch.tensor(LOGITS, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [
            cross_entropy(s, LABELS),
            logit_adjusted(s, LABELS, SIZES),
            ldam(s, LABELS, ldam_margins(SIZES, 0.5), class_balanced_weights(SIZES, 0.9)),
        ]
    assert all(loss.dtype == torch.float32 for loss in losses)


def test_accuracy_is_a_percentage():
    s = tensor(LOGITS)
    found = accuracy(s, LABELS)
    assert found.item() == pytest.approx(200 / 3)
    assert not found.requires_grad
