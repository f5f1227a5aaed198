from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from longtail.methods.losses.long_tailed import (
    balanced_cross_entropy,
    effective_number_weights,
    equalized_cross_entropy,
)

SIZES = st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0, 7.0]), min_size=2, max_size=6)


def random_logits(rows: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    return logits.requires_grad_(), torch.randint(classes, (rows,), generator=generator)


@given(sizes=SIZES, gamma=st.floats(0.05, 0.999))
def test_effective_number_weights_are_the_formula(sizes, gamma):
    weights = effective_number_weights(torch.tensor(sizes, dtype=torch.float64), gamma)
    for weight, size in zip(weights.tolist(), sizes, strict=True):
        assert weight == pytest.approx((1 - gamma) / (1 - gamma**size), rel=1e-9)


def test_effective_number_weights_become_one_over_the_size_as_gamma_goes_to_1():
    sizes = torch.tensor([0.5, 1.0, 4.0, 20.0])
    torch.testing.assert_close(effective_number_weights(sizes, 1 - 1e-7), 1 / sizes, rtol=1e-4, atol=0)


@given(sizes=SIZES, rows=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_balms_is_the_formula(sizes, rows, seed):
    logits, labels = random_logits(rows, len(sizes), seed)
    losses = []
    for z, y in zip(logits, labels.tolist(), strict=True):
        shares = [size / sum(sizes) for size in sizes]
        total = sum(share * torch.exp(value) for share, value in zip(shares, z, strict=True))
        losses.append(-torch.log(shares[y] * torch.exp(z[y]) / total))
    expected = torch.stack(losses)
    values = balanced_cross_entropy(logits, labels, torch.tensor(sizes, dtype=torch.float64))
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(
        torch.autograd.grad(values.sum(), logits)[0], torch.autograd.grad(expected.sum(), logits)[0]
    )


@given(weights=SIZES, rows=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_eql_is_the_formula_and_its_gradient_a_shifted_softmax(weights, rows, seed):
    logits, labels = random_logits(rows, len(weights), seed)
    losses = []
    for z, y in zip(logits, labels.tolist(), strict=True):
        total = sum(weight * torch.exp(value) for weight, value in zip(weights, z, strict=True))
        losses.append(-torch.log(torch.exp(z[y]) / total))
    w = torch.tensor(weights, dtype=torch.float64)
    values = equalized_cross_entropy(logits, labels, w)
    torch.testing.assert_close(values, torch.stack(losses))
    expected = (logits.detach() + w.log()).softmax(1) - functional.one_hot(labels, len(weights))
    torch.testing.assert_close(torch.autograd.grad(values.sum(), logits)[0], expected)


def test_without_imbalance_all_are_cross_entropy():
    logits, labels = random_logits(6, 4, 0)
    ones = torch.ones(4, dtype=torch.float64)
    plain = functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(balanced_cross_entropy(logits, labels, 3 * ones), plain)
    torch.testing.assert_close(equalized_cross_entropy(logits, labels, ones), plain)


def test_balms_and_eql_shift_in_opposite_directions():
    logits, labels = random_logits(1, 2, 0)
    labels.fill_(1)
    sizes = torch.tensor([4.0, 1.0], dtype=torch.float64)
    losses = [
        balanced_cross_entropy(logits, labels, sizes),
        functional.cross_entropy(logits, labels, reduction="none"),
        equalized_cross_entropy(logits, labels, 5 / sizes),
    ]
    pulls = [-torch.autograd.grad(loss.sum(), logits)[0][0, 1] for loss in losses]
    assert pulls[0] > pulls[1] > pulls[2] > 0  # on an image of the tail
