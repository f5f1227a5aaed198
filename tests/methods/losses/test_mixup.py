"""Losses of mixed images against loops in float64, and against the numbers of official codes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.mixup import mixed_binary_cross_entropy, mixed_cross_entropy
from tests.methods.golden import LABELS, LOGITS, golden, near, tensor

PARTNERS = LABELS[torch.tensor([2, 0, 1])]
LAMBDA = torch.tensor(0.3, dtype=torch.float64)


def slow_mixed(logits, labels, partners, lam):
    total = 0.0
    for s, y, other in zip(logits, labels.tolist(), partners.tolist(), strict=True):
        log_p = [torch.log(torch.exp(value) / sum(torch.exp(v) for v in s)) for value in s]
        total = total - lam * log_p[y] - (1 - lam) * log_p[other]
    return total / len(logits)


def slow_binary(logits, labels, partners, lam):
    total = 0.0
    for s, y, other in zip(logits, labels.tolist(), partners.tolist(), strict=True):
        for k in range(len(s)):
            p = torch.exp(s[k]) / sum(torch.exp(v) for v in s)
            t = lam * (k == y) + (1 - lam) * (k == other)
            total = total - t * torch.log(p) - (1 - t) * torch.log(1 - p)
    return total / logits.numel()


@pytest.mark.parametrize(
    ("loss", "slow"), [(mixed_cross_entropy, slow_mixed), (mixed_binary_cross_entropy, slow_binary)]
)
@given(seed=st.integers(0, 999), rows=st.integers(1, 5), classes=st.integers(2, 5), lam=st.floats(0, 1))
def test_losses_are_the_formulas(loss, slow, seed, rows, classes, lam):
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, dtype=torch.float64, generator=draws).requires_grad_()
    labels, partners = torch.randint(classes, (2, rows), generator=draws)
    share = torch.tensor(lam, dtype=torch.float64)
    found, expected = loss(logits, labels, partners, share), slow(logits, labels, partners, lam)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    grads = (torch.autograd.grad(value, logits)[0] for value in (found, expected))
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-12)


def test_unmixed_images_have_the_loss_of_their_class():
    s, one = tensor(LOGITS), torch.tensor(1.0)
    torch.testing.assert_close(mixed_cross_entropy(s, LABELS, PARTNERS, one), cross_entropy(s, LABELS))
    answers = torch.nn.functional.one_hot(LABELS, 4).double()
    torch.testing.assert_close(
        mixed_binary_cross_entropy(s, LABELS, PARTNERS, one), torch.nn.BCELoss()(s.softmax(1), answers)
    )


def test_golden_values():
    s = tensor(LOGITS)
    assert golden(mixed_cross_entropy(s, LABELS, PARTNERS, LAMBDA), s) == near(1.482731, 0.361458)
    assert golden(mixed_binary_cross_entropy(s, LABELS, PARTNERS, LAMBDA), s) == near(0.598752, 0.121340)


def test_what_is_certain_and_wrong_has_a_gradient():
    """Where p is rounded to 1, log(1 - p) is -infinity, or cut off and without gradient."""
    s = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    found = mixed_binary_cross_entropy(s, torch.tensor([1]), torch.tensor([1]), torch.tensor(0.5))
    (grad,) = torch.autograd.grad(found, s)
    assert found.item() == pytest.approx(120 / 3, abs=1)
    assert grad[0].tolist() == pytest.approx([2 / 3, -0.5, -1 / 6], abs=1e-4)


def test_half_precision_is_left_for_full():
    s, lam = torch.tensor(LOGITS, dtype=torch.bfloat16), torch.tensor(0.3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [loss(s, LABELS, PARTNERS, lam) for loss in (mixed_cross_entropy, mixed_binary_cross_entropy)]
    assert all(loss.dtype == torch.float32 for loss in losses)
