"""Backbones that end in branches, against their layers one by one, and against the sizes of the official codes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from longtail.models.backbones import new_backbone
from longtail.models.branches import LastBlocks, LastConvolution, LastNorms
from longtail.models.classifiers import Linear
from longtail.models.recomputation import recompute_activations
from longtail.models.spreading import backbones


def parameters(*networks):
    return sum(p.numel() for network in networks for p in network.parameters())


def last_blocks(name="resnet_small", count=2):
    torch.manual_seed(0)
    return LastBlocks([new_backbone(name, "cifar", 3) for _ in range(count)])


def last_norms(name="resnet_small", count=3):
    torch.manual_seed(0)
    return LastNorms(new_backbone(name, "cifar", 3), count)


def test_the_networks_have_the_parameters_of_the_official_codes():
    trunk = last_blocks("resnet32")
    assert (parameters(trunk), trunk.width) == (537_488, 128)
    branches = last_norms("resnet32")
    assert (parameters(branches, Linear(64, 100)), branches.width) == (470_388, 192)


@pytest.mark.parametrize("name", ["resnet32", "resnet_small", "resnet18"])
def test_a_last_block_of_its_own_and_all_else_shared(name):
    trunk, x = last_blocks(name).eval(), torch.randn(2, 3, 16, 16)
    first, second = trunk.branches
    shared = trunk.shared(x)
    expected = [block(shared).mean((2, 3)) for block in (first, second)]
    torch.testing.assert_close(trunk(x), torch.cat(expected, 1))
    for branch in (0, 1):
        torch.testing.assert_close(trunk(x, branch), expected[branch])
    plain = new_backbone(name, "cifar", 3)
    assert parameters(trunk) == parameters(plain) + parameters(second)
    assert not torch.equal(first.conv1.weight, second.conv1.weight)


def test_one_branch_is_the_backbone_itself():
    plain, x = new_backbone("resnet32", "cifar", 3).eval(), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(LastBlocks([plain])(x), plain(x))


def test_a_branch_alone_moves_no_statistics_and_no_gradients_of_another():
    trunk = last_blocks()
    before = {name: value.clone() for name, value in trunk.named_buffers()}
    trunk(torch.randn(4, 3, 8, 8), 1).sum().backward()
    moved = {name for name, value in trunk.named_buffers() if not torch.equal(value, before[name])}
    assert not any(name.startswith("branches.0.") for name in moved)
    assert {name for name in before if not name.startswith("branches.0.")} == moved
    assert all(p.grad is None for p in trunk.branches[0].parameters())
    assert all(p.grad is not None for p in trunk.branches[1].parameters())


@pytest.mark.parametrize("name", ["resnet32", "resnet_small"])
def test_maps_are_normalised_and_then_averaged(name):
    """By the statistics of all their pixels: of averages, there would be other ones."""
    network, x = last_norms(name), torch.randn(4, 3, 16, 16)
    network.norms[1].weight.data.uniform_(0.5, 2)
    network.norms[2].bias.data.normal_()
    last = network.shared(x)
    mean, variance = last.mean((0, 2, 3)), last.var((0, 2, 3), correction=0)
    averaged = (last.mean((2, 3)) - mean) / (variance + 1e-5).sqrt()
    expected = torch.cat([averaged * norm.weight + norm.bias for norm in network.norms], 1)
    torch.testing.assert_close(network(x), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "blocks"),
    [
        (last_blocks("resnet32"), 16),
        (last_norms("resnet32"), 15),
        (LastConvolution(new_backbone("resnet50", "imagenet", 3), 3), 16),
        (LastBlocks([new_backbone("resnet50", "imagenet", 3) for _ in range(2)]), 17),
    ],
)
def test_several_gpus_and_recomputation_find_one_backbone_and_all_blocks(network, blocks):
    assert backbones(network) == [network]
    assert recompute_activations(network) == blocks


def test_batch_normalisations_alone_are_the_branches_of_reslt():
    assert [type(norm) for norm in last_norms().norms] == [nn.BatchNorm2d] * 3


def last_convolution(name="resnet_small", count=3):
    torch.manual_seed(0)
    network = LastConvolution(new_backbone(name, "imagenet", 3), count)
    network.branches[1].weight.data.uniform_(0.5, 2)
    network.branches[1].bias.data.normal_()
    return network


def test_maps_are_convolved_and_then_averaged_in_training_and_the_other_way_round_in_the_test():
    """jiequancui/ResLT, networks/reslt_imagenet.py; ReLU in between makes the difference."""
    network, x = last_convolution(), torch.randn(4, 3, 64, 64)
    convolution, norm, _ = network.branches
    last = network.shared(x).detach()
    assert last.shape[2:] > (1, 1)
    convolved = torch.einsum("oc,bchw->bohw", convolution.weight[:, :, 0, 0], last)
    mean, variance = convolved.mean((0, 2, 3), keepdim=True), convolved.var((0, 2, 3), correction=0, keepdim=True)
    affine = [part[:, None, None] for part in (norm.weight, norm.bias)]
    trained = (((convolved - mean) / (variance + 1e-5).sqrt()) * affine[0] + affine[1]).relu().mean((2, 3))
    torch.testing.assert_close(network(x), trained, rtol=1e-3, atol=1e-4)

    network.eval()
    last = network.shared(x).mean((2, 3))
    normed = (last @ convolution.weight[:, :, 0, 0].T - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
    torch.testing.assert_close(network(x), (normed * norm.weight + norm.bias).relu(), rtol=1e-3, atol=1e-5)


def test_the_large_networks_have_the_layers_of_the_official_codes():
    """Of a ResNet-50: three times as many channels behind 1x1 convolutions, and a last bottleneck twice."""
    plain = new_backbone("resnet50", "imagenet", 3)
    branches = LastConvolution(new_backbone("resnet50", "imagenet", 3), 3)
    assert branches.width == 3 * 2048
    assert parameters(branches) == parameters(plain) + 3 * 2048 * 2048 + 2 * 3 * 2048
    twice = LastBlocks([new_backbone("resnet50", "imagenet", 3) for _ in range(2)])
    bottleneck = 2048 * 512 + 9 * 512 * 512 + 512 * 2048 + 2 * (512 + 512 + 2048)
    assert (twice.width, parameters(twice)) == (4096, parameters(plain) + bottleneck)
