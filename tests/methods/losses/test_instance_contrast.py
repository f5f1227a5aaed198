"""SSD's contrast against a loop over images and keys in float64, and against the number of the official code."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.clustering.moco import info_nce
from longtail.methods.losses.instance_contrast import contrast_of_instances
from longtail.methods.losses.numerics import unit


def slow_contrast(q, k, labels, past, past_labels, temperature):
    total = torch.zeros((), dtype=q.dtype)
    for i in range(len(q)):
        own = torch.exp(q[i] @ k[i] / temperature)
        below = own
        for b, y in zip(past, past_labels.tolist(), strict=True):
            if y != labels[i].item():
                below = below + torch.exp(q[i] @ b / temperature)
        total = total - torch.log(own / below)
    return total / len(q)


def problem(seed, rows, size):
    draws = torch.Generator().manual_seed(seed)
    q, k, past = (unit(torch.randn(n, 4, dtype=torch.float64, generator=draws)) for n in (rows, rows, size))
    labels, past_labels = torch.randint(3, (rows,), generator=draws), torch.randint(-1, 3, (size,), generator=draws)
    return q.requires_grad_(), k, labels, past, past_labels


@given(seed=st.integers(0, 999), rows=st.integers(1, 4), size=st.integers(1, 6))
def test_it_is_the_formula(seed, rows, size):
    q, *others = problem(seed, rows, size)
    found, expected = (of(q, *others, 0.3) for of in (contrast_of_instances, slow_contrast))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(*(torch.autograd.grad(loss, q)[0] for loss in (found, expected)), rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 999), rows=st.integers(1, 4), size=st.integers(1, 6))
def test_with_a_class_of_its_own_for_every_image_it_is_moco(seed, rows, size):
    q, k, _, past, _ = problem(seed, rows, size)
    nobody = torch.full((size,), -1)
    torch.testing.assert_close(
        contrast_of_instances(q, k, torch.arange(rows), past, nobody, 0.2), info_nce(q, k, past, 0.2)
    )


def test_an_image_without_competitors_has_nothing_to_learn():
    q, k, _, past, _ = problem(0, 2, 3)
    loss = contrast_of_instances(q, k, torch.zeros(2), past, torch.zeros(3), 0.2)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert torch.autograd.grad(loss, q)[0].abs().max() < 1e-12


def test_golden_value():
    q = unit(torch.tensor([[1.0, 0, 1], [0, 1, 1]], dtype=torch.float64))
    k = unit(torch.tensor([[1, 0.2, 0.8], [0.1, 1, 0.7]], dtype=torch.float64))
    past, labels = torch.eye(3, dtype=torch.float64), torch.arange(3)
    assert contrast_of_instances(q, k, labels[:2], past, labels, 0.2).item() == pytest.approx(0.231658, abs=6e-7)


def test_half_precision_is_left_for_full():
    q = torch.eye(3, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = contrast_of_instances(q, q, torch.arange(3), q, torch.arange(3), 0.2)
    assert loss.dtype == torch.float32
