from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from longtail.models.backbones import new_backbone
from longtail.models.freezing import freeze_convolutions, keep_statistics, last_block, replace_last_block


def updated(backbone: nn.Module) -> None:
    """A few updates with momentum and weight decay of whatever has a gradient, in the mode that it is in."""
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        backbone(images).square().sum().backward()
        optimizer.step()


def moved(before: nn.Module, after: nn.Module) -> set[str]:
    """Names of the parameters and statistics that are not what they were, to the last bit."""
    old = before.state_dict()
    return {name for name, value in after.state_dict().items() if not torch.equal(value, old[name])}


@pytest.mark.parametrize(
    ("name", "block"), [("resnet50", "layer4.2."), ("resnet18", "layer4.1."), ("resnet_small", "layer3.")]
)
def test_the_last_block(name, block):
    backbone = new_backbone(name, "imagenet", 3)
    inside = set(last_block(backbone).parameters())
    assert {n for n, p in backbone.named_parameters() if p in inside} == {
        n for n, _ in backbone.named_parameters() if n.startswith(block)
    }


@pytest.mark.parametrize("name", ["resnet18", "resnet_small"])
def test_frozen_convolutions_stay_and_all_else_moves(name):
    torch.manual_seed(0)
    backbone = new_backbone(name, "imagenet", 3)
    block = f"{'layer4.1' if name == 'resnet18' else 'layer3'}."
    freeze_convolutions(backbone)
    before = copy.deepcopy(backbone)
    updated(backbone)
    convolutions = {f"{n}.weight" for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d)}
    frozen = {name for name in convolutions if not name.startswith(block)}
    assert moved(before, backbone) == set(backbone.state_dict()) - frozen
    assert all(backbone.get_parameter(name).grad is None for name in frozen)


@pytest.mark.parametrize("name", ["resnet18", "resnet_small"])
def test_a_replaced_block_learns_alone_with_its_statistics(name):
    torch.manual_seed(0)
    pretrained = new_backbone(name, "imagenet", 3)
    with torch.no_grad():
        for value in pretrained.state_dict().values():
            value.add_(1)
    backbone = copy.deepcopy(pretrained)
    replace_last_block(backbone)
    of_block = {n for n in backbone.state_dict() if n.startswith("layer4.1." if name == "resnet18" else "layer3.")}
    assert moved(pretrained, backbone) == of_block
    assert last_block(backbone).bn1.running_mean.eq(0).all()
    assert last_block(backbone).bn1.weight.eq(1).all()

    backbone.train()
    keep_statistics(backbone)
    before = copy.deepcopy(backbone)
    updated(backbone)
    assert moved(before, backbone) == of_block
    assert all(p.grad is None for n, p in backbone.named_parameters() if n not in of_block)


def test_an_evaluated_block_stays_so():
    backbone = new_backbone("resnet_small", "cifar", 3).eval()
    keep_statistics(backbone)
    assert not any(module.training for module in backbone.modules())
