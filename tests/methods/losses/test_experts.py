"""RIDE's losses against loops over experts, images and classes in float64, and against the numbers of its code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import cross_entropy, ldam_margins
from longtail.methods.losses.distillation import distillation
from longtail.methods.losses.experts import (
    DIVERGENCES,
    divergence_by_class,
    divergence_by_image,
    ride,
    temperatures_of_classes,
    temperatures_of_images,
)
from longtail.methods.losses.long_tailed import class_balanced_weights
from tests.methods.golden import COSINES, LABELS, SIZES, golden, near, tensor

SECOND = [[13.5, 6, -1.5, 6], [4.5, 7.5, 1.5, -1.5], [-1.5, 3, 10.5, 6]]
ONES = torch.ones(4)


def slow_divergence(logits, temperatures, kind):
    """KL of experts from their mean or each other, where ``temperatures[i][k]`` divides logit k of image i."""
    return {"from_mean": slow_from_mean, "of_pairs": slow_of_pairs}[kind](logits, temperatures)


def slow_of_pairs(logits, temperatures):
    experts, rows, classes = logits.shape
    total = torch.zeros((), dtype=torch.float64)
    for i in range(rows):
        shares = []
        for e in range(experts):
            powers = [torch.exp(logits[e, i, k] / temperatures[i][k]) for k in range(classes)]
            shares.append([power / sum(powers) for power in powers])
        for e in range(experts):
            for f in range(experts):
                if e != f:
                    for k in range(classes):
                        total = total + shares[e][k] * torch.log(shares[e][k] / shares[f][k]) / (experts - 1)
    return total / rows if experts > 1 else 0 * logits.sum()


def slow_from_mean(logits, temperatures):
    experts, rows, classes = logits.shape
    means = [
        [sum(logits[e, i, k].item() for e in range(experts)) / experts for k in range(classes)] for i in range(rows)
    ]
    total = torch.zeros((), dtype=torch.float64)
    for e in range(experts):
        for i in range(rows):
            q = [math.exp(means[i][k] / temperatures[i][k]) for k in range(classes)]
            p = [torch.exp(logits[e, i, k] / temperatures[i][k]) for k in range(classes)]
            for k in range(classes):
                share = q[k] / sum(q)
                total = total + share * (math.log(share) - torch.log(p[k] / sum(p)))
    return total / rows


def assert_same(found, expected, *inputs):
    """Value and gradients, up to rounding in float64."""
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    for ours, theirs in zip(*(torch.autograd.grad(value, inputs) for value in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def of_experts(**others):
    """Draw a seed, numbers of experts and of images, and a kind of divergence."""
    return given(
        seed=st.integers(0, 999),
        experts=st.integers(1, 3),
        rows=st.integers(1, 4),
        kind=st.sampled_from(sorted(DIVERGENCES)),
        **others,
    )


def drawn(seed, experts, rows, eta):
    """Logits, classes, sizes of classes and eta K pi_k + 1 - eta."""
    draws = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(experts, rows, 4, dtype=torch.float64, generator=draws)).requires_grad_()
    sizes = torch.randint(1, 500, (4,), generator=draws)
    labels = torch.randint(4, (rows,), generator=draws)
    return logits, labels, sizes, [eta * 4 * n / sizes.sum().item() + 1 - eta for n in sizes.tolist()]


@of_experts(eta=st.sampled_from([0.0, 0.05, 0.9]))
def test_the_divergence_by_class_is_the_formula_of_the_code(seed, experts, rows, eta, kind):
    logits, _, sizes, raw = drawn(seed, experts, rows, eta)
    temperatures = temperatures_of_classes(sizes, eta)
    assert temperatures.tolist() == pytest.approx([t / max(raw) for t in raw])
    of_logits = temperatures.tolist()
    expected = (sum(of_logits) / 4) ** 2 * slow_divergence(logits, [of_logits] * rows, kind)
    assert_same(divergence_by_class(logits, temperatures, kind), expected, logits)


@of_experts(eta=st.sampled_from([0.0, 0.05, 0.2]))
def test_the_divergence_by_image_is_the_formula_of_the_paper(seed, experts, rows, eta, kind):
    logits, labels, sizes, raw = drawn(seed, experts, rows, eta)
    temperatures = temperatures_of_images(sizes, eta)
    assert temperatures.tolist() == pytest.approx([t + 1 - max(raw) for t in raw])
    expected = slow_divergence(logits, [[temperatures[y].item()] * 4 for y in labels.tolist()], kind)
    assert_same(divergence_by_image(logits, labels, temperatures, kind), expected, logits)


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_without_spread_the_temperatures_of_paper_and_code_agree(kind):
    logits = torch.stack([30 * tensor(COSINES), tensor(SECOND)])
    by_class = divergence_by_class(logits, temperatures_of_classes(SIZES, 0.0), kind)
    torch.testing.assert_close(divergence_by_image(logits, LABELS, temperatures_of_images(SIZES, 0.0), kind), by_class)


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_one_expert_without_margins_is_cross_entropy(kind):
    logits = tensor([COSINES])
    divergence = divergence_by_class(logits, ONES, kind)
    torch.testing.assert_close(
        ride(logits, LABELS, torch.zeros(4), -0.45, divergence), cross_entropy(logits[0], LABELS)
    )
    assert divergence.item() == pytest.approx(0, abs=1e-12)


def test_golden_temperatures():
    temperatures = temperatures_of_classes(SIZES, 0.05)
    assert tuple(temperatures.tolist()) == near(1, 0.909619, 0.883796, 0.873467)
    assert temperatures.mean().item() == pytest.approx(0.916720, abs=6e-7)


MARGINS = 30 * ldam_margins(SIZES, 0.5)


def golden_experts():
    return (30 * tensor(COSINES)).detach().requires_grad_(), tensor(SECOND)


def golden_ride(temperatures, weights):
    experts = golden_experts()
    logits = torch.stack(experts)
    return golden(
        ride(logits, LABELS, MARGINS, -0.45, divergence_by_class(logits, temperatures, "from_mean"), weights), *experts
    )


def test_golden_loss_before_and_after_reweighting():
    assert golden_ride(ONES, None) == near(33.297674, 0.945764)
    weights = class_balanced_weights(SIZES, 0.9999)
    assert golden_ride(temperatures_of_classes(SIZES, 0.05), weights) == near(50.753539, 1.671810)


def test_golden_divergences():
    both = torch.stack(golden_experts())
    divergence = divergence_by_class(both, ONES, "from_mean")
    assert ride(both, LABELS, MARGINS, 0.0, divergence).item() == pytest.approx(21.356029 + 11.950568, abs=2e-6)
    assert divergence.item() == pytest.approx(0.002120 + 0.017708, abs=2e-6)


def test_golden_loss_with_distillation():
    """Temperature 1.5; the teacher's logits are 20 times the cosines with images in reverse order."""
    experts = golden_experts()
    logits = torch.stack(experts)
    own = ride(logits, LABELS, MARGINS, -0.45, divergence_by_class(logits, ONES, "from_mean"))
    learnt = distillation(logits.mean(0), 20 * tensor(COSINES).flip(0), 1.5)
    assert golden(2 * (own + learnt), *experts) == near(94.874768, 2.603065)


def test_half_precision_is_left_for_full():
    logits = torch.tensor([SECOND, SECOND], dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        divergences = [
            divergence_by_class(logits, temperatures_of_classes(SIZES, 0.05), "from_mean"),
            divergence_by_image(logits, LABELS, temperatures_of_images(SIZES, 0.05), "of_pairs"),
        ]
        loss = ride(logits, LABELS, torch.zeros(4), -0.45, divergences[0])
    assert {value.dtype for value in (loss, *divergences)} == {torch.float32}
