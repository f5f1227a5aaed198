from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import nn

from longtail.models.backbones import new_backbone
from longtail.models.dual_batchnorm import DualBatchNorm, branch
from longtail.models.dual_branch import DualBranchNetwork


@pytest.fixture
def network() -> DualBranchNetwork:
    torch.manual_seed(0)
    network = DualBranchNetwork(functools.partial(new_backbone, "resnet_small", "cifar", 1), 16)
    network.refresh_mask(0.9)
    return network


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_pruned_branch_is_the_network_with_masked_weights(network: DualBranchNetwork, x: torch.Tensor) -> None:
    pruned = copy.deepcopy(network)
    with torch.no_grad():
        for name, weight in network.mask.masked(network.backbone).items():
            pruned.backbone.get_parameter(name).copy_(weight)
    with branch(pruned, "pruned"):
        expected = pruned(x)
    torch.testing.assert_close(network.pruned(x), expected, rtol=0, atol=0)
    assert not torch.allclose(network.pruned(x), network(x), atol=1e-2)


def test_dense_branch_does_not_depend_on_the_mask(network: DualBranchNetwork, x: torch.Tensor) -> None:
    before = network(x)
    network.refresh_mask(0.3)
    torch.testing.assert_close(network(x), before, rtol=0, atol=0)


def test_pruned_weights_get_gradient_from_the_dense_branch_alone(network: DualBranchNetwork, x: torch.Tensor) -> None:
    network.pruned(x).square().mul(torch.arange(16)).sum().backward()
    kept_gradient = 0.0
    for name, mask in network.mask.masked(network.backbone).items():
        gradient = network.backbone.get_parameter(name).grad
        assert gradient is not None
        assert bool((gradient[mask == 0] == 0).all())
        kept_gradient += gradient.abs().sum().item()
    assert kept_gradient > 0
    network(x).square().mul(torch.arange(16)).sum().backward()
    name, mask = next(iter(network.mask.masked(network.backbone).items()))
    assert bool((network.backbone.get_parameter(name).grad[mask == 0] != 0).any())


def test_each_branch_moves_its_own_running_statistics_only(network: DualBranchNetwork, x: torch.Tensor) -> None:
    layers = [module for module in network.modules() if isinstance(module, DualBatchNorm)]

    def updates(kind: str) -> set[int]:
        return {int(getattr(layer, kind).num_batches_tracked) for layer in layers}

    network.pruned(x)
    network.pruned(x)
    assert (updates("dense"), updates("pruned")) == ({0}, {2})
    network(x)
    assert (updates("dense"), updates("pruned")) == ({1}, {2})
    assert all(bool((layer.pruned.running_mean != layer.dense.running_mean).any()) for layer in layers)


def test_outputs_are_not_normalised(network: DualBranchNetwork, x: torch.Tensor) -> None:
    nn.init.constant_(network.head[-1].dense.weight, 3.0)
    assert network.width == 16
    assert network(x).norm(dim=1).mean() > 5
