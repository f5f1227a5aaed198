"""Label-aware smoothing against loops over images and classes in float64, and against the numbers of official code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.smoothing import label_aware_smoothing, smoothing_factors
from tests.methods.golden import LABELS, LOGITS, SIZES, golden, near, tensor

SPREADS = pytest.mark.parametrize("spread", ["all", "others"])


def slow_factors(sizes, head, tail):
    largest, smallest = max(sizes), min(sizes)
    return [tail + (head - tail) * math.sin(math.pi * (n - smallest) / (2 * (largest - smallest))) for n in sizes]


def slow_smoothing(logits, labels, factors, spread):
    rows, classes = logits.shape
    total = torch.zeros((), dtype=logits.dtype)
    for s, y in zip(logits, labels.tolist(), strict=True):
        epsilon = factors[y]
        for k in range(classes):
            target = (1 - epsilon) * (k == y)
            if spread == "all":
                target += epsilon / classes
            elif k != y:
                target += epsilon / (classes - 1)
            total = total - target * torch.log(torch.exp(s[k]) / sum(torch.exp(value) for value in s))
    return total / rows


@SPREADS
@given(seed=st.integers(0, 999), rows=st.integers(1, 5), classes=st.integers(2, 6))
def test_smoothing_is_the_formula(spread, seed, rows, classes):
    draws = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(rows, classes, dtype=torch.float64, generator=draws)).requires_grad_()
    labels = torch.randint(classes, (rows,), generator=draws)
    sizes = torch.randperm(5000, generator=draws)[:classes] + 1
    factors = smoothing_factors(sizes, 0.4, 0.1)
    slow = slow_factors(sizes.tolist(), 0.4, 0.1)
    assert factors.tolist() == pytest.approx(slow, rel=1e-12)
    found, expected = (
        label_aware_smoothing(logits, labels, factors, spread),
        slow_smoothing(logits, labels, slow, spread),
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (found, expected)))


@SPREADS
def test_without_smoothing_it_is_cross_entropy(spread):
    s = tensor(LOGITS)
    plain = label_aware_smoothing(s, LABELS, smoothing_factors(SIZES, 0.0, 0.0), spread)
    assert golden(plain, s) == pytest.approx(golden(cross_entropy(s, LABELS), s), rel=1e-14)


@SPREADS
def test_what_is_smoothed_away_altogether_leaves_the_other_classes(spread):
    s, one = tensor(LOGITS), torch.ones(4)
    expected = -s.log_softmax(1)
    if spread == "others":
        expected = expected * (torch.arange(4) != LABELS[:, None]) * 4 / 3
    torch.testing.assert_close(label_aware_smoothing(s, LABELS, one, spread), expected.mean())


def test_classes_of_one_size_are_smoothed_as_the_smallest():
    """Else 0 / 0, in dvlab-research/MiSLAS and in the formula."""
    assert smoothing_factors(torch.full((3,), 7), 0.4, 0.1).tolist() == pytest.approx([0.1] * 3)


def test_golden_values():
    s, factors = tensor(LOGITS), smoothing_factors(SIZES, 0.4, 0.1)
    assert tuple(factors.tolist()) == near(0.4, 0.230165, 0.138363, 0.1)
    assert golden(label_aware_smoothing(s, LABELS, factors, "all"), s) == near(1.465845, 0.375208)
    assert golden(label_aware_smoothing(s, LABELS, factors, "others"), s) == near(1.491327, 0.351850)


def test_golden_factors_on_cifar():
    cifar10 = torch.tensor([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])
    assert tuple(smoothing_factors(cifar10, 0.3, 0.0).tolist()) == near(
        0.3, 0.241412, 0.157844, 0.096049, 0.056308, 0.032021, 0.017317, 0.008472, 0.003142, 0
    )
    cifar100 = torch.tensor([int(500 * 0.01 ** (k / 99)) for k in range(100)])
    assert tuple(smoothing_factors(cifar100, 0.4, 0.1)[[0, 50, 99]].tolist()) == near(0.4, 0.140809, 0.1)


def test_half_precision_is_left_for_full():
    s = torch.tensor(LOGITS, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for spread in ("all", "others"):
            assert label_aware_smoothing(s, LABELS, smoothing_factors(SIZES, 0.4, 0.1), spread).dtype == torch.float32
