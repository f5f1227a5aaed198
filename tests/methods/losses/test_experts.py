"""RIDE's loss against loops over experts, images and classes in float64, and against the numbers of its code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import cross_entropy, ldam_margins
from longtail.methods.losses.experts import divergence_from_mean, diversity_temperatures, ride
from longtail.methods.losses.long_tailed import class_balanced_weights
from tests.methods.golden import COSINES, LABELS, SIZES, golden, near, tensor

SECOND = [[13.5, 6, -1.5, 6], [4.5, 7.5, 1.5, -1.5], [-1.5, 3, 10.5, 6]]
ONES = torch.ones(4)


def slow_divergence(logits, temperatures):
    experts, rows, classes = logits.shape
    means = [
        [sum(logits[e, i, k].item() for e in range(experts)) / experts for k in range(classes)] for i in range(rows)
    ]
    total = torch.zeros((), dtype=torch.float64)
    for e in range(experts):
        for i in range(rows):
            q = [math.exp(means[i][k] / temperatures[k]) for k in range(classes)]
            p = [torch.exp(logits[e, i, k] / temperatures[k]) for k in range(classes)]
            for k in range(classes):
                share = q[k] / sum(q)
                total = total + share * (math.log(share) - torch.log(p[k] / sum(p)))
    return (sum(temperatures) / classes) ** 2 * total / rows


@given(
    seed=st.integers(0, 999), experts=st.integers(1, 3), rows=st.integers(1, 4), eta=st.sampled_from([0.0, 0.05, 0.9])
)
def test_the_divergence_is_the_formula(seed, experts, rows, eta):
    draws = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(experts, rows, 4, dtype=torch.float64, generator=draws)).requires_grad_()
    sizes = torch.randint(1, 500, (4,), generator=draws)
    temperatures = diversity_temperatures(sizes, eta)
    raw = [eta * 4 * n / sizes.sum().item() + 1 - eta for n in sizes.tolist()]
    assert temperatures.tolist() == pytest.approx([t / max(raw) for t in raw])
    found, expected = divergence_from_mean(logits, temperatures), slow_divergence(logits, temperatures.tolist())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, logits)[0] for value in (found, expected)), rtol=1e-8, atol=1e-10
    )


def test_one_expert_without_margins_is_cross_entropy():
    logits = tensor([COSINES])
    loss, divergence = ride(logits, LABELS, torch.zeros(4), -0.45, ONES)
    torch.testing.assert_close(loss, cross_entropy(logits[0], LABELS))
    assert divergence.item() == pytest.approx(0, abs=1e-12)


def test_golden_temperatures():
    temperatures = diversity_temperatures(SIZES, 0.05)
    assert tuple(temperatures.tolist()) == near(1, 0.909619, 0.883796, 0.873467)
    assert temperatures.mean().item() == pytest.approx(0.916720, abs=6e-7)


def golden_ride(temperatures, weights):
    first, second = (30 * tensor(COSINES)).detach().requires_grad_(), tensor(SECOND)
    margins = 30 * ldam_margins(SIZES, 0.5)
    loss, _ = ride(torch.stack([first, second]), LABELS, margins, -0.45, temperatures, weights)
    return golden(loss, first, second)


def test_golden_loss_before_and_after_reweighting():
    assert golden_ride(ONES, None) == near(33.297674, 0.945764)
    weights = class_balanced_weights(SIZES, 0.9999)
    assert golden_ride(diversity_temperatures(SIZES, 0.05), weights) == near(50.753539, 1.671810)


def test_golden_divergences():
    both = torch.stack([30 * tensor(COSINES), tensor(SECOND)])
    margins = 30 * ldam_margins(SIZES, 0.5)
    loss, divergence = ride(both, LABELS, margins, 0.0, ONES)
    assert loss.item() == pytest.approx(21.356029 + 11.950568, abs=2e-6)
    assert divergence.item() == pytest.approx(0.002120 + 0.017708, abs=2e-6)


def test_half_precision_is_left_for_full():
    logits = torch.tensor([SECOND, SECOND], dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, divergence = ride(logits, LABELS, torch.zeros(4), -0.45, diversity_temperatures(SIZES, 0.05))
    assert loss.dtype == divergence.dtype == torch.float32
