"""BBN's losses against loops over images and classes in float64, and against the numbers of its code."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.bbn import bbn, mixed_feature, parabolic_decay
from longtail.methods.losses.classification import cross_entropy
from tests.methods.golden import LABELS, LOGITS, golden, near, tensor
from tests.methods.losses.test_classification import assert_same, problem, slow_ce

REVERSED = torch.tensor([3, 3, 1])


def alpha_in(epoch, epochs=200):
    """By the epoch, 1-based."""
    return parabolic_decay(torch.tensor((epoch - 1) / epochs, dtype=torch.float64))


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), epoch=st.integers(1, 200))
def test_the_loss_is_the_formula(seed, rows, epoch):
    logits, labels, _ = problem(seed, rows, 4)
    other = labels.flip(0)
    alpha = 1 - ((epoch - 1) / 200) ** 2
    expected = alpha * slow_ce(logits, labels) + (1 - alpha) * slow_ce(logits, other)
    assert_same(bbn(logits, labels, other, alpha_in(epoch)), expected, logits)


@given(rows=st.integers(1, 3), width=st.integers(1, 3), epoch=st.integers(1, 200))
def test_features_are_mixed_by_the_formula(rows, width, epoch):
    torch.manual_seed(epoch)
    features = torch.randn(2, rows, width, dtype=torch.float64)
    found, alpha = mixed_feature(*features, alpha_in(epoch)), 1 - ((epoch - 1) / 200) ** 2
    for i in range(rows):
        for j in range(width):
            assert found[i, j].item() == pytest.approx(2 * alpha * features[0, i, j].item())
            assert found[i, width + j].item() == pytest.approx(2 * (1 - alpha) * features[1, i, j].item())


@pytest.mark.parametrize(
    ("epoch", "loss", "norm"), [(1, 1.389398, 0.461243), (100, 1.422068, 0.329534), (200, 1.521401, 0.532569)]
)
def test_golden_losses(epoch, loss, norm):
    logits = tensor(LOGITS)
    assert golden(bbn(logits, LABELS, REVERSED, alpha_in(epoch)), logits) == near(loss, norm)


def test_golden_weights():
    """Of iNaturalist's 90 and 180 epochs, in which the code divides by 100 and 200, and of the first epoch."""
    assert alpha_in(1) == 1
    assert tuple(parabolic_decay(tensor([0.495, 0.995])).tolist()) == near(0.754975, 0.009975)


WEIGHT = tensor([[0.1, 0.2, 0.3, 0.4], [-0.2, 0.5, 0.1, 0], [0.3, -0.1, 0.2, 0.6]])
BIAS = tensor([0.1, 0, -0.1])
FEATURES = tensor([[1, 0.5]]), tensor([[0.2, -1]])


@pytest.mark.parametrize(
    ("epoch", "logits"),
    [
        (1, [0.5, 0.1, 0.4]),
        (100, [0.235373, 0.085298, 0.003060]),
        (200, [-0.569227, 0.040599, -1.203841]),
    ],
)
def test_golden_logits_in_training(epoch, logits):
    found = mixed_feature(*FEATURES, alpha_in(epoch)) @ WEIGHT.T + BIAS
    assert found.flatten().tolist() == pytest.approx(logits, abs=6e-7)


def test_golden_logits_in_the_test_have_no_factor():
    found = torch.cat(FEATURES, dim=1) @ WEIGHT.T + BIAS
    assert found.flatten().tolist() == pytest.approx([-0.04, 0.07, -0.41])
    torch.testing.assert_close(mixed_feature(*FEATURES, tensor(0.5)) @ WEIGHT.T + BIAS, found)


def test_at_first_the_loss_sees_the_uniform_batch_alone():
    logits, alpha = tensor(LOGITS), tensor(1.0)
    torch.testing.assert_close(bbn(logits, LABELS, REVERSED, alpha), cross_entropy(logits, LABELS))
    mixed = mixed_feature(*FEATURES, alpha)
    assert torch.equal(mixed, torch.cat([2 * FEATURES[0], 0 * FEATURES[1]], dim=1))


def test_it_computes_in_full_precision():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mixed_feature(torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2, 3), alpha_in(2))
        assert found.dtype is torch.float32
        assert bbn(found.bfloat16(), LABELS[:2], LABELS[:2], alpha_in(2)).dtype is torch.float32
