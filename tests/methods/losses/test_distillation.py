"""Distillation against loops over images and classes in float64, and against a number computed by official code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.distillation import distillation
from tests.methods.golden import LOGITS, golden, near, tensor

TEACHER = [[2, 0, -1, 0.5], [0.1, 0.2, 1.5, -0.3], [0, 0.3, 0.6, 2]]


def slow_distillation(logits, teacher, temperature, power=1.0):
    rows, classes = logits.shape
    total = torch.zeros((), dtype=torch.float64)
    for i in range(rows):
        tempered = [math.exp(teacher[i, k].item() / temperature) for k in range(classes)]
        q = [(value / sum(tempered)) ** power for value in tempered]
        p = [torch.exp(logits[i, k] / temperature) for k in range(classes)]
        for k in range(classes):
            share = q[k] / sum(q)
            total = total + share * (math.log(share) - torch.log(p[k] / sum(p)))
    return temperature**2 * total / rows


@given(
    seed=st.integers(0, 999),
    rows=st.integers(1, 4),
    temperature=st.sampled_from([0.5, 1.0, 1.5, 4.0]),
    power=st.sampled_from([0.5, 1.0]),
)
def test_distillation_is_the_formula(seed, rows, temperature, power):
    draws = torch.Generator().manual_seed(seed)
    logits, teacher = (
        (3 * torch.randn(rows, 5, dtype=torch.float64, generator=draws)).requires_grad_() for _ in range(2)
    )
    found, expected = (of(logits, teacher, temperature, power) for of in (distillation, slow_distillation))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, logits)[0] for value in (found, expected)), rtol=1e-8, atol=1e-10
    )
    assert not distillation(logits.detach(), teacher, temperature).requires_grad  # nothing reaches the teacher


def test_golden_distillation():
    logits = tensor(LOGITS)
    assert golden(distillation(logits, tensor(TEACHER), 2.0), logits) == near(0.429316, 0.258346)


def test_of_itself_nothing_is_learnt():
    logits = tensor(LOGITS)
    assert golden(distillation(logits, logits, 1.5), logits) == pytest.approx((0, 0), abs=1e-12)


def test_half_precision_is_left_for_full():
    logits = torch.tensor(LOGITS, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert distillation(logits, logits.flip(0), 1.5).dtype == torch.float32
