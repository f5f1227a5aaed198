"""The trunk of several experts: what is shared, how wide the rest is, and the sizes of the official code."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.models.backbones import new_backbone
from longtail.models.classifiers import Cosine
from longtail.models.dual_batchnorm import DualBatchNorm2d
from longtail.models.recomputation import recompute_activations
from longtail.models.spreading import backbones


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("experts", "expected"), [(1, 277_168), (2, 530_512), (3, 783_856), (4, 1_037_200), (6, 1_543_888)]
)
def test_resnet32_has_the_parameters_of_the_official_code(experts, expected):
    trunk = new_backbone("resnet32", "cifar", 3, experts=experts)
    heads = nn.ModuleList(Cosine(trunk.width // experts, 100, 30.0) for _ in range(experts))
    assert (trunk.experts, trunk.width) == (experts, 48 * experts)
    assert parameters(trunk) + parameters(heads) == expected


@pytest.mark.parametrize(
    ("name", "width", "expected"), [("resnet50", 1536, 26_527_808), ("resnext50", 1536, 25_991_488)]
)
def test_networks_for_imagenet_have_the_parameters_of_the_official_code(name, width, expected):
    trunk = new_backbone(name, "imagenet", 3, experts=2)
    assert (trunk.experts, trunk.width) == (2, 2 * width)
    assert parameters(trunk) == expected


@pytest.mark.parametrize(("name", "width"), [("resnet18", 384), ("resnet32", 48), ("resnet_small", 48)])
def test_every_expert_sees_the_shared_stages_and_no_other_expert(name, width):
    torch.manual_seed(0)
    trunk = new_backbone(name, "cifar", 3, experts=3).eval()
    x = torch.randn(2, 3, 16, 16)
    features = trunk(x)
    assert features.shape == (2, 3 * width)
    for number, stages in enumerate(trunk.late):
        alone = stages(trunk.shared(x)).mean((2, 3))
        torch.testing.assert_close(features[:, number * width : (number + 1) * width], alone)
        own = list(stages.parameters())
        for other in range(3):
            part = features[:, other * width : (other + 1) * width].sum()
            gradients = torch.autograd.grad(part, own, retain_graph=True)
            assert all(bool(gradient.any()) == (other == number) for gradient in gradients)
    first, second = (next(stages.parameters()) for stages in list(trunk.late)[:2])
    assert not torch.equal(first, second)


def test_the_last_two_stages_are_the_experts_own():
    plain = new_backbone("resnet18", "imagenet", 3)
    trunk = new_backbone("resnet18", "imagenet", 3, experts=2)
    early = [plain.conv1, plain.bn1, plain.layer1, plain.layer2]
    assert parameters(trunk.shared) == sum(parameters(module) for module in early)
    shapes = [[p.shape[0] for p in stage.parameters()] for stage in trunk.late[0]]
    assert shapes == [[p.shape[0] * 3 // 4 for p in stage.parameters()] for stage in (plain.layer3, plain.layer4)]


@pytest.mark.parametrize(("name", "fan"), [("resnet18", "fan_out"), ("resnet32", "fan_in")])
def test_experts_start_as_their_backbone_does(name, fan):
    torch.manual_seed(0)
    for module in new_backbone(name, "cifar", 3, experts=2).modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight
            size = (weight.shape[0] if fan == "fan_out" else weight.shape[1]) * weight[0, 0].numel()
            assert weight.std().item() == pytest.approx(math.sqrt(2 / size), rel=5 / math.sqrt(2 * weight.numel()))


@pytest.mark.parametrize("name", ["resnet18", "resnet32", "resnet_small"])
def test_uses_the_given_normalisation_everywhere(name):
    plain = [m for m in new_backbone(name, "cifar", 3, experts=2).modules() if isinstance(m, nn.BatchNorm2d)]
    dual = list(new_backbone(name, "cifar", 3, DualBatchNorm2d, experts=2).modules())
    assert sum(isinstance(m, DualBatchNorm2d) for m in dual) == len(plain)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in dual) == 2 * len(plain)


def test_several_gpus_and_recomputation_find_one_backbone_and_all_blocks():
    trunk = new_backbone("resnet32", "cifar", 3, experts=3)
    assert backbones(trunk) == [trunk]
    assert recompute_activations(trunk) == 5 + 3 * 10


@pytest.mark.parametrize("experts", [0, -1])
def test_there_is_at_least_one_expert(experts):
    with pytest.raises(LongtailError, match=f"cannot have {experts} experts. Let experts be at least 1"):
        new_backbone("resnet32", "cifar", 3, experts=experts)
