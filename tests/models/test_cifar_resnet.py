"""ResNet-32 against a slow statement of it: a shortcut by indexing, convolutions as they are printed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d

from longtail.models.backbones import new_backbone
from longtail.models.cifar_resnet import CifarResNet, PaddedShortcut


@given(before=st.integers(1, 6), added=st.integers(0, 5), height=st.integers(1, 7), width=st.integers(1, 7))
def test_the_shortcut_takes_every_second_pixel_and_pads_half_in_front_half_behind(before, added, height, width):
    x = torch.arange(1.0, 1 + 2 * before * height * width).view(2, before, height, width)
    found = PaddedShortcut(before, before + 2 * added)(x)
    assert found.shape == (2, before + 2 * added, math.ceil(height / 2), math.ceil(width / 2))
    for channel in range(before + 2 * added):
        for i in range(found.shape[2]):
            for j in range(found.shape[3]):
                inside = added <= channel < added + before
                expected = x[:, channel - added, 2 * i, 2 * j] if inside else torch.zeros(2)
                assert torch.equal(found[:, channel, i, j], expected)


def slow(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The 31 convolutions by name, in training mode, float64."""

    def normalised(x: Tensor, name: str) -> Tensor:
        return batch_norm(x, None, None, weights[f"{name}.weight"], weights[f"{name}.bias"], training=True)

    x = normalised(conv2d(x, weights["conv1.weight"], padding=1), "bn1").relu()
    for stage in (1, 2, 3):
        for block in range(5):
            at = f"layer{stage}.{block}"
            halves = stage > 1 and block == 0
            out = conv2d(x, weights[f"{at}.conv1.weight"], stride=2 if halves else 1, padding=1)
            out = normalised(out, f"{at}.bn1").relu()
            out = normalised(conv2d(out, weights[f"{at}.conv2.weight"], padding=1), f"{at}.bn2")
            if halves:
                kept = torch.zeros_like(out)
                kept[:, x.shape[1] // 2 : x.shape[1] // 2 + x.shape[1]] = x[:, :, ::2, ::2]
                x = kept
            x = (out + x).relu()
    return x.mean((2, 3))


def test_outputs_and_gradients_are_those_of_the_slow_version():
    torch.manual_seed(0)
    network = CifarResNet().double()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    weights = {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    towards = torch.randn(3, 64, dtype=torch.float64)

    found, expected = network(x), slow(weights, x)
    torch.testing.assert_close(found, expected)
    (found * towards).sum().backward()
    (expected * towards).sum().backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[name].grad)


def test_has_463_504_parameters_and_width_64():
    network = new_backbone("resnet32", "cifar", 3)
    parameters = sum(p.numel() for p in network.parameters())
    assert (parameters, network.width) == (463_504, 64)
    assert [parameters + (64 + 1) * classes for classes in (10, 100)] == [464_154, 470_004]
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 31


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_images_of_any_channels(channels):
    assert new_backbone("resnet32", "cifar", channels)(torch.randn(2, channels, 32, 32)).shape == (2, 64)


def test_convolutions_start_from_kaiming_normal_over_fan_in():
    torch.manual_seed(0)
    for module in CifarResNet().modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight
            fan_in = weight[0].numel()
            assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=5 / math.sqrt(2 * weight.numel()))
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert bool((module.bias == 0).all())
            assert (module.momentum, module.eps) == (0.1, 1e-5)
