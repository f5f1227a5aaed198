"""What M2m computes, against loops over images and pixels in float64, and against numbers of the official code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.m2m import acceptance, start_noise, step_against, translation
from tests.methods.golden import LABELS, LOGITS, SIZES, tensor

CLASSES = torch.arange(4)


@given(seed=st.integers(0, 999), beta=st.sampled_from([0.0, 0.9, 0.999]))
def test_acceptance_is_the_formula(seed, beta):
    draws = torch.Generator().manual_seed(seed)
    targets, seeds = (torch.randint(4, (n,), generator=draws) for n in (3, 5))
    found = acceptance(SIZES, targets, seeds, beta)
    for i, target in enumerate(targets.tolist()):
        for j, start in enumerate(seeds.tolist()):
            more = max(SIZES[start].item() - SIZES[target].item(), 0)
            assert found[i, j].item() == pytest.approx(1 - beta**more, abs=1e-12)


def test_golden_acceptance():
    """From classes 0 and 1 to each; a class gives nothing to itself or to one that is larger."""
    found = acceptance(SIZES, CLASSES, CLASSES, 0.999)
    assert found[1:, 0].tolist() == pytest.approx([0.067639, 0.086110, 0.093396], abs=6e-7)
    assert found[1:, 1].tolist() == pytest.approx([0, 0.019811, 0.027625], abs=6e-7)
    assert not found.triu().any()


@given(seed=st.integers(0, 999), weight=st.sampled_from([0.0, 0.5]))
def test_translation_is_the_formula(seed, weight):
    draws = torch.Generator().manual_seed(seed)
    g, f = (torch.randn(3, 4, dtype=torch.float64, generator=draws).requires_grad_() for _ in range(2))
    y, y0 = (torch.randint(4, (3,), generator=draws) for _ in range(2))
    slow = torch.stack(
        [torch.log(sum(torch.exp(g[i, k] - g[i, y[i]]) for k in range(4))) + weight * f[i, y0[i]] for i in range(3)]
    )
    found = translation(g, f, y, y0, weight)
    torch.testing.assert_close(found, slow)
    for ours, theirs in zip(
        torch.autograd.grad(found.sum(), (g, f)), torch.autograd.grad(slow.sum(), (g, f)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_translation_without_the_seed_is_cross_entropy():
    logits = tensor(LOGITS)
    found = translation(logits, logits, LABELS, LABELS, 0.0)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, LABELS, reduction="none"))


def test_golden_step():
    gradient = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(1, 1, 2, 3)
    step = step_against(gradient, 0.1)
    assert (-step).flatten()[:3].tolist() == pytest.approx([0.010483, 0.020966, 0.031449], abs=6e-7)
    assert step.norm().item() == pytest.approx(0.1)


def test_every_image_makes_a_step_of_its_own():
    gradients = torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradients[2] = 0
    steps = step_against(gradients * torch.tensor([1e-4, 1e4, 1.0], dtype=torch.float64)[:, None, None, None], 0.1)
    assert steps.flatten(1).norm(dim=1).tolist() == pytest.approx([0.1, 0.1, 0], rel=1e-5)
    torch.testing.assert_close(step_against(gradients[:1], 0.1), steps[:1], rtol=1e-6, atol=1e-9)


@pytest.fixture
def images():
    return torch.zeros(128, 3, 32, 32, dtype=torch.float64)


EVERY = torch.ones(128, dtype=torch.bool)


def test_golden_noise_of_the_code(images):
    """Meant is a ball of radius 0.5 around each image; the code measures a channel's noise in all images at once."""
    noise = start_noise(images, EVERY, 0.5, "channel", torch.Generator().manual_seed(0))
    assert noise.transpose(0, 1).flatten(1).norm(dim=1).tolist() == pytest.approx([0.5] * 3, rel=1e-5)
    assert noise.flatten(1).norm(dim=1).mean().item() == pytest.approx(math.sqrt(3) * 0.5 / math.sqrt(128), rel=2e-4)
    assert noise.flatten(1).norm(dim=1).mean().item() == pytest.approx(0.0765, abs=6e-5)


def test_noise_as_meant(images):
    noise = start_noise(images, EVERY, 0.5, "image", torch.Generator().manual_seed(0))
    assert noise.flatten(1).norm(dim=1).tolist() == pytest.approx([0.5] * 128, rel=1e-5)


@pytest.mark.parametrize("norm_of", ["image", "channel"])
def test_images_that_are_not_used_do_not_count(images, norm_of):
    used = EVERY.clone()
    used[10:] = False
    noise = start_noise(images, used, 0.5, norm_of, torch.Generator().manual_seed(0))
    assert not noise[10:].any()
    few = {"image": 0.5, "channel": math.sqrt(3) * 0.5 / math.sqrt(10)}[norm_of]
    assert noise[:10].flatten(1).norm(dim=1).mean().item() == pytest.approx(few, rel=2e-3)


def test_noise_inside_the_ball_stays():
    small = torch.zeros(2, 1, 1, 1)
    noise = start_noise(small, torch.ones(2, dtype=torch.bool), 0.5, "image", torch.Generator().manual_seed(0))
    plain = torch.rand(small.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    assert torch.equal(noise, plain)
