"""Classifiers against loops over images and classes in float64, and against the numbers of official codes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from longtail.errors import LongtailError
from longtail.models.backbones import new_backbone
from longtail.models.classifiers import INITS, Cosine, Linear, Scaled


def dot(u, v):
    return sum(u[i] * v[i] for i in range(len(u)))


def cosine(h, weight, scale):
    def norm(u):
        return dot(u, u) ** 0.5

    return [[scale * dot(x, w) / norm(x) / norm(w) for w in weight] for x in h]


def linear(h, weight, bias):
    return [[dot(x, w) + b for w, b in zip(weight, bias, strict=True)] for x in h]


def scaled(h, scales, weight, bias):
    return [[f * s for f, s in zip(scales, row, strict=True)] for row in linear(h, weight, bias)]


def assert_same(found, expected, leaves):
    """Logits, and gradients of a weighted sum of them by ``leaves``."""
    expected = torch.stack([torch.stack(row) for row in expected])
    torch.testing.assert_close(found, expected)
    towards = torch.randn_like(expected)
    for one, other in zip(*(torch.autograd.grad((s * towards).sum(), leaves) for s in (found, expected)), strict=True):
        torch.testing.assert_close(one, other)


sizes = {"batch": st.integers(1, 3), "width": st.integers(1, 4), "classes": st.integers(1, 4)}
seeds = st.integers(0, 99)


def features(batch, width, seed):
    """Made before the classifier, so that both rest on the seed."""
    torch.manual_seed(seed)
    return torch.randn(batch, width, dtype=torch.float64, requires_grad=True)


@given(**sizes, seed=seeds, scale=st.sampled_from([1.0, 30.0]))
def test_cosine_is_the_formula(batch, width, classes, seed, scale):
    h, classifier = features(batch, width, seed), Cosine(width, classes, scale).double()
    assert_same(classifier(h), cosine(h, classifier.weight, scale), [h, classifier.weight])


@given(**sizes, seed=seeds, init=st.sampled_from(INITS))
def test_linear_is_the_formula(batch, width, classes, seed, init):
    h, classifier = features(batch, width, seed), Linear(width, classes, init).double()
    assert_same(classifier(h), linear(h, classifier.weight, classifier.bias), [h, classifier.weight, classifier.bias])


@given(**sizes, seed=seeds)
def test_scaled_is_the_formula(batch, width, classes, seed):
    h, inner = features(batch, width, seed), Linear(width, classes).double()
    classifier = Scaled(inner).double()
    assert torch.equal(classifier(h), inner(h))  # as long as all scales are 1
    classifier.scales.data.normal_()
    leaves = [h, classifier.scales, inner.weight, inner.bias]
    for found in (classifier(h), h @ classifier.weight.T + classifier.bias):
        assert_same(found, scaled(*leaves), leaves)


def test_learnable_weight_scaling_has_the_golden_value_and_trains_the_scales_alone():
    inner = Linear(2, 2)
    inner.weight.data = torch.tensor([[0.5, -1], [0.2, 0.3]])
    inner.bias.data = torch.tensor([0.4, -0.2])
    classifier = Scaled(inner.requires_grad_(False))
    classifier.scales.data = torch.tensor([2, 0.5])
    torch.testing.assert_close(classifier(torch.tensor([[1.0, 2]])), torch.tensor([[-2.2, 0.3]]))
    assert [name for name, p in classifier.named_parameters() if p.requires_grad] == ["scales"]


@pytest.mark.parametrize(("classes", "with_linear", "with_cosine"), [(10, 464_154, 464_144), (100, 470_004, 469_904)])
def test_resnet32_and_a_classifier_have_the_parameters_of_the_official_codes(classes, with_linear, with_cosine):
    backbone = new_backbone("resnet32", "cifar", 3)
    for classifier, expected in ((Linear(64, classes), with_linear), (Cosine(64, classes), with_cosine)):
        assert sum(p.numel() for p in nn.Sequential(backbone, classifier).parameters()) == expected


def test_how_a_linear_classifier_starts():
    torch.manual_seed(0)
    bound, few = 1 / math.sqrt(64), 5 / math.sqrt(2 * 64_000)  # five standard deviations of a sample's
    for init, deviation in (("default", bound / math.sqrt(3)), ("kaiming", math.sqrt(2 / 64))):
        classifier = Linear(64, 1000, init)
        assert classifier.weight.std().item() == pytest.approx(deviation, rel=few)
        assert bool((classifier.weight.abs() <= bound).all()) == (init == "default")
        assert 0.95 * bound < classifier.bias.abs().max() <= bound


def test_how_a_cosine_classifier_starts():
    torch.manual_seed(0)
    weight = Cosine(64, 1000).weight
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(1000))
    longest = weight.abs().amax(1)
    # Of 64 uniform numbers the largest is near 1, and their length near sqrt(64 / 3); of normal ones it would be 0.3.
    assert longest.mean().item() == pytest.approx(1 / math.sqrt(64 / 3), rel=0.05)


@pytest.mark.parametrize("classifier", [Linear(8, 5), Cosine(8, 5, 30.0), Scaled(Linear(8, 5))])
def test_classifiers_compute_in_full_precision_and_tell_their_weights(classifier):
    h = torch.randn(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = classifier(h)
    assert torch.equal(found, classifier(h))
    assert classifier.weight.shape == (5, 8)
    assert classifier.bias is None if isinstance(classifier, Cosine) else classifier.bias.shape == (5,)


def test_a_feature_of_length_0_has_no_direction():
    h = torch.zeros(1, 3, requires_grad=True)
    logits = Cosine(3, 4, 30.0)(h)
    assert torch.equal(logits, torch.zeros(1, 4))
    logits.sum().backward()
    assert bool(h.grad.isfinite().all())


def test_an_init_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(LongtailError, match=r"no init of a linear classifier 'kaimming'. Did you mean 'kaiming'\?"):
        Linear(2, 2, "kaimming")


def test_a_linear_classifier_that_starts_from_almost_nothing():
    """LTH14/targeted-supcon, main_lincls_imba.py."""
    torch.manual_seed(0)
    classifier = Linear(64, 1000, "normal")
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert abs(classifier.weight.mean().item()) < 1e-3
    assert not classifier.bias.any()
