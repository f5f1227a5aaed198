"""Focal losses and log-odds against loops in float64, and against the numbers of official codes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.focal import focal, sigmoid_focal
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.losses.numerics import log_odds
from tests.methods.golden import LABELS, LOGITS, SIZES, golden, near, tensor

# --- The formulas, term by term ---------------------------------------------------------------------------------------


def slow_focal(logits, labels, gamma, weights):
    total = 0.0
    for s, y in zip(logits, labels.tolist(), strict=True):
        p = torch.exp(s[y]) / sum(torch.exp(value) for value in s)
        total = total - weights[y] * (1 - p) ** gamma * torch.log(p)
    return total / len(logits)


def slow_sigmoid_focal(logits, labels, gamma, weights):
    total = 0.0
    for s, y in zip(logits, labels.tolist(), strict=True):
        for k, value in enumerate(s):
            yes = 1 / (1 + torch.exp(-value))
            p = yes if k == y else 1 - yes
            total = total - weights[y] * (1 - p) ** gamma * torch.log(p)
    return total / len(logits)


PAIRS = [(focal, slow_focal), (sigmoid_focal, slow_sigmoid_focal)]


@pytest.mark.parametrize(("loss", "slow"), PAIRS)
@given(
    seed=st.integers(0, 999),
    rows=st.integers(1, 5),
    classes=st.integers(2, 5),
    gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
)
def test_focal_losses_are_the_formulas(loss, slow, seed, rows, classes, gamma):
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, dtype=torch.float64, generator=draws).requires_grad_()
    labels = torch.randint(classes, (rows,), generator=draws)
    weights = class_balanced_weights(torch.randint(1, 6000, (classes,), generator=draws), 0.9999)
    for given_weights, every in ((None, [1.0] * classes), (weights, weights.tolist())):
        found, expected = loss(logits, labels, gamma, given_weights), slow(logits, labels, gamma, every)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(
            *(torch.autograd.grad(value, logits)[0] for value in (found, expected)), rtol=1e-9, atol=1e-12
        )


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), classes=st.integers(2, 6))
def test_log_odds_are_those_of_the_softmax(seed, rows, classes):
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, dtype=torch.float64, generator=draws).requires_grad_()
    p = logits.softmax(1)
    expected, mix = p.log() - (1 - p).log(), torch.randn(rows, classes, dtype=torch.float64, generator=draws)
    torch.testing.assert_close(log_odds(logits), expected, rtol=1e-10, atol=1e-10)
    grads = [torch.autograd.grad((mix * value).sum(), logits)[0] for value in (log_odds(logits), expected)]
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-9)


# --- Identities and edges ---------------------------------------------------------------------------------------------


def test_without_gamma_they_are_cross_entropies():
    s, weights = tensor(LOGITS), class_balanced_weights(SIZES, 0.9999)
    torch.testing.assert_close(focal(s, LABELS, 0.0), cross_entropy(s, LABELS))
    answers = torch.nn.functional.one_hot(LABELS, 4).double()
    binary = torch.nn.functional.binary_cross_entropy_with_logits(s, answers, reduction="none").sum(1)
    torch.testing.assert_close(sigmoid_focal(s, LABELS, 0.0, weights), (weights[LABELS] * binary).mean())


def test_weights_that_all_classes_share_do_not_cancel_out():
    """What divides is the number of images: with that of the weights, their scale would not matter."""
    s = tensor(LOGITS)
    for loss, gamma in ((focal, 0.0), (focal, 1.0), (sigmoid_focal, 1.0)):
        torch.testing.assert_close(loss(s, LABELS, gamma, torch.full((4,), 3.0)), 3 * loss(s, LABELS, gamma))


@pytest.mark.parametrize("loss", [focal, sigmoid_focal])
def test_right_and_wrong_answers_without_doubt_have_gradients(loss):
    """A power of 1 - p below 1 would be infinitely steep where p is 1."""
    s = torch.tensor([[300.0, -300.0, 0.0], [300.0, -300.0, 0.0]], requires_grad=True)
    found = loss(s, torch.tensor([0, 1]), 0.5)
    (grad,) = torch.autograd.grad(found, s)
    assert torch.isfinite(found)
    assert torch.isfinite(grad).all()
    assert grad[1, 1] == pytest.approx(-0.5)  # of two images, one entirely wrong


def test_log_odds_hold_where_probabilities_round_to_1_and_are_tied():
    s = torch.tensor([[80.0, 0.0, 0.0], [0.0, 0.0, -200.0], [5.0, 5.0, 5.0]], requires_grad=True)
    expected = torch.tensor(
        [[80 - math.log(2), -80.0, -80.0], [0.0, 0.0, -200 - math.log(2)], [-math.log(2)] * 3], dtype=torch.float32
    )
    torch.testing.assert_close(log_odds(s), expected)
    assert torch.isfinite(torch.autograd.grad(log_odds(s).sum(), s)[0]).all()


# --- Golden values ----------------------------------------------------------------------------------------------------


def test_golden_focal():
    s, weights = tensor(LOGITS), class_balanced_weights(SIZES, 0.9999)
    assert golden(focal(s, LABELS, 1.0), s) == near(1.094190, 0.474372)
    assert golden(focal(s, LABELS, 2.0), s) == near(0.915594, 0.474085)
    assert golden(focal(s, LABELS, 1.0, weights), s) == near(0.891732, 0.571578)


def test_golden_class_balanced_losses():
    s, weights = tensor(LOGITS), class_balanced_weights(SIZES, 0.9999)
    assert golden(focal(s, LABELS, 0.0, weights), s) == near(1.296313, 0.645970)
    assert golden(sigmoid_focal(s, LABELS, 1.0, weights), s) == near(1.886762, 0.884388)
    assert golden(sigmoid_focal(s, LABELS, 0.5, weights), s) == near(2.548273, 0.965815)


def test_weights_within_the_modulator_are_another_loss():
    """kaidic/LDAM-DRW puts them there: p = exp(-w CE). No table asks for it."""
    s, weights = tensor(LOGITS), class_balanced_weights(SIZES, 0.9999)
    weighted = weights[LABELS] * torch.nn.functional.cross_entropy(s, LABELS, reduction="none")
    within = ((1 - (-weighted).exp()) * weighted).mean()
    assert golden(within, s) == near(1.093578, 0.731648)


# --- What the loop needs ----------------------------------------------------------------------------------------------


def test_half_precision_is_left_for_full():
    s = torch.tensor(LOGITS, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [loss(s, LABELS, 1.0, class_balanced_weights(SIZES, 0.9)) for loss in (focal, sigmoid_focal)]
    assert all(loss.dtype == torch.float32 for loss in losses)
