from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from longtail.models.backbones import BACKBONES, new_backbone
from longtail.models.dual_branch import DualBranchNetwork
from longtail.models.momentum import momentum_copy
from longtail.models.recomputation import recompute_activations
from longtail.models.splitnorm import SplitBatchNorm2d

BLOCKS = {"resnet18": 8, "resnet32": 15, "resnet50": 16, "resnet_small": 3}
"""Blocks of every backbone; ``resnet152`` and ``resnext50`` are made of those of ``resnet50``."""


def test_no_backbone_is_left_out():
    assert set(BACKBONES) == {*BLOCKS, "resnet152", "resnext50"}


@pytest.fixture(autouse=True)
def deterministic():
    torch.manual_seed(0)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def step(forward, network, dtype=torch.float32):
    """Two views and a loss that couples all images; what is left afterwards: loss, gradients, statistics."""
    views = torch.randn(2, 8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        a, b = forward(network, views)
    loss = (a.float() @ b.float().T).square().mean()
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients, **dict(network.named_buffers())}


def assert_same_step(forward, network, dtype=torch.float32):
    other = copy.deepcopy(network)
    assert recompute_activations(other) > 0
    assert other.state_dict().keys() == network.state_dict().keys()
    before = {name: value.clone() for name, value in network.named_buffers()}
    plain, again = step(forward, network, dtype), step(forward, other, dtype)
    assert plain.keys() == again.keys()
    for name, value in plain.items():
        assert torch.equal(value, again[name]), name
    moved = [name for name, value in before.items() if not torch.equal(value, plain[name])]
    assert any("running_mean" in name for name in moved)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", BLOCKS)
def test_loss_gradients_and_statistics_are_the_same(name, dtype):
    network = new_backbone(name, "cifar", 3)
    assert recompute_activations(copy.deepcopy(network)) == BLOCKS[name]
    assert_same_step(lambda net, views: map(net, views), network, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_pruned_branch_is_computed_again_with_its_mask_and_its_statistics(dtype):
    network = DualBranchNetwork(functools.partial(new_backbone, "resnet_small", "cifar", 3), 16)
    network.refresh_mask(0.9)
    assert_same_step(lambda net, views: (net(views[0]), net.pruned(views[1])), network, dtype)


def test_batch_normalisation_in_groups():
    network = new_backbone("resnet_small", "cifar", 3, functools.partial(SplitBatchNorm2d, splits=4))
    assert_same_step(lambda net, views: map(net, views), network)


def test_a_copy_computes_with_its_own_weights():
    network = new_backbone("resnet_small", "cifar", 3)
    recompute_activations(network)
    target = momentum_copy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    images = torch.randn(4, 3, 16, 16)
    assert target(images).abs().sum() > 0
    assert network(images).abs().sum() == 0


def held(network) -> tuple[int, int]:
    """Bytes that the convolutions of all residual blocks gave, and how many of them wait for the backward pass."""
    given = []

    def note(module, inputs, output):
        given.append((output.untyped_storage().nbytes(), StorageWeakRef(output.untyped_storage())))

    blocks = [module for module in network.modules() if hasattr(module, "downsample")]
    for convolution in (part for block in blocks for part in block.modules() if isinstance(part, torch.nn.Conv2d)):
        convolution.register_forward_hook(note)
    output = network(torch.randn(8, 3, 32, 32))
    assert output.requires_grad
    return sum(size for size, _ in given), sum(size for size, storage in given if not storage.expired())


@pytest.mark.parametrize("name", BLOCKS)
def test_no_activation_inside_a_block_is_kept(name):
    network = new_backbone(name, "cifar", 3)
    given, kept = held(copy.deepcopy(network))
    assert kept == given > 0
    recompute_activations(network)
    assert held(network) == (given, 0)
