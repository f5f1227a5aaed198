from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.models.backbones import BACKBONES, new_backbone
from longtail.models.dual_batchnorm import DualBatchNorm2d


@pytest.mark.parametrize(
    ("name", "width"),
    [("resnet18", 512), ("resnet50", 2048), ("resnet152", 2048), ("resnext50", 2048), ("resnet_small", 64)],
)
@pytest.mark.parametrize(("stem", "channels", "size"), [("cifar", 3, 8), ("imagenet", 1, 32)])
def test_maps_images_to_vectors_of_its_width(name: str, width: int, stem: str, channels: int, size: int) -> None:
    backbone = new_backbone(name, stem, channels)
    assert backbone.width == width
    assert backbone(torch.randn(2, channels, size, size)).shape == (2, width)


def test_holds_no_classifier() -> None:
    assert not any(
        isinstance(module, nn.Linear) for name in BACKBONES for module in new_backbone(name, "cifar", 3).modules()
    )


def test_resnet18_for_cifar_has_the_convolutions_of_the_official_code() -> None:
    convolutions = [m for m in new_backbone("resnet18", "cifar", 3).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 20
    assert sum(m.weight.numel() for m in convolutions) == 11_159_232


@pytest.mark.parametrize(("stem", "after_stem"), [("cifar", 32), ("imagenet", 8)])
def test_stem_reduces_the_image_by_four_or_not_at_all(stem: str, after_stem: int) -> None:
    backbone = new_backbone("resnet18", stem, 3)
    x = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(torch.randn(2, 3, 32, 32)))))
    assert x.shape == (2, 64, after_stem, after_stem)


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_689_512), ("resnet152", 60_192_808), ("resnext50", 25_028_904)]
)
def test_the_networks_for_imagenet_are_as_large_as_torchvision_states(name: str, parameters: int) -> None:
    backbone = new_backbone(name, "imagenet", 3)
    classifier = (backbone.width + 1) * 1000
    assert sum(p.numel() for p in backbone.parameters()) + classifier == parameters


@pytest.mark.parametrize("name", ["resnet18", "resnext50", "resnet_small"])
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_convolutions_start_from_kaiming_normal_over_fan_out(name: str, stem: str) -> None:
    torch.manual_seed(0)
    for module in new_backbone(name, stem, 3).modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight
            fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
            # A sample standard deviation of n values has a relative error of about 1 / sqrt(2 n).
            assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=5 / math.sqrt(2 * weight.numel()))
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert bool((module.bias == 0).all())
            assert (module.momentum, module.eps) == (0.1, 1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_uses_the_given_normalisation_everywhere(name: str) -> None:
    plain = [m for m in new_backbone(name, "cifar", 3).modules() if isinstance(m, nn.BatchNorm2d)]
    dual = list(new_backbone(name, "cifar", 3, norm=DualBatchNorm2d).modules())
    assert sum(isinstance(m, DualBatchNorm2d) for m in dual) == len(plain)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in dual) == 2 * len(plain)


def test_unknown_names_are_answered_with_known_ones() -> None:
    with pytest.raises(LongtailError, match=r"no backbone 'resnet19'.*resnet18"):
        new_backbone("resnet19", "cifar", 3)
    with pytest.raises(LongtailError, match=r"no stem 'cifar100'.*'cifar'"):
        new_backbone("resnet18", "cifar100", 3)


def test_resnet32_has_one_stem_only() -> None:
    with pytest.raises(LongtailError, match=r"resnet32 .* no stem 'imagenet'. Give it the stem cifar"):
        new_backbone("resnet32", "imagenet", 3)
