"""Backbones that end in branches: what comes before is shared, each branch has the last layers for itself.

The features of all branches stand beside each other, (B, n d), those of the first branch first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from longtail.models.residual import stages_of, stem_of


class LastBlocks(nn.Module):
    """A last residual block per branch (BBN, Zhou et al., CVPR 2020; Megvii-Nanjing/BBN).

    Args:
        networks: one per branch, of one architecture: residual networks whose layers carry the names of torchvision's.
            The first gives all layers but the last block, each its last block.

    Attributes:
        width: n d, where d is the width of one network.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        first: Any = networks[0]
        blocks = [_blocks(stages_of(network)[-1]) for network in networks]
        self.shared = nn.Sequential(*stem_of(first), *stages_of(first)[:-1], *blocks[0][:-1])
        self.branches = nn.ModuleList(own[-1] for own in blocks)
        self.avgpool = first.avgpool
        self.width = len(networks) * first.width

    def forward(self, x: Tensor, branch: int | None = None) -> Tensor:
        """(B, C, H, W) to (B, n d), or to (B, d) through one branch; no other moves its running statistics then."""
        x = self.shared(x)
        taken = list(self.branches) if branch is None else [self.branches[branch]]
        return torch.cat([self.avgpool(block(x)).flatten(1) for block in taken], dim=1)


def _blocks(stage: nn.Module) -> list[nn.Module]:
    """Those of a stage, which is a single one in the smallest network."""
    return list(stage) if isinstance(stage, nn.Sequential) else [stage]


class _OfLastMap(nn.Module):
    """A backbone whose branches begin at its last map.

    Args:
        network: gives all layers up to there; a residual network whose layers carry the names of torchvision's.
        count: of branches, n.

    Attributes:
        width: n d, where d is the width of ``network``.
    """

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__()
        given: Any = network
        self.shared = nn.Sequential(*stem_of(given), *stages_of(given))
        self.avgpool = given.avgpool
        self.width = count * given.width


class LastNorms(_OfLastMap):
    """A batch normalisation of the last map per branch (ResLT, Cui et al., TPAMI 2022; jiequancui/ResLT on CIFAR)."""

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__(network, count)
        self.norms = nn.ModuleList(nn.BatchNorm2d(self.width // count) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, n d): maps are normalised, and then averaged over their pixels."""
        x = self.shared(x)
        return torch.cat([self.avgpool(norm(x)).flatten(1) for norm in self.norms], dim=1)


class LastConvolution(_OfLastMap):
    """A 1x1 convolution of the last map, batch normalisation and ReLU per branch (jiequancui/ResLT on the large sets).

    The code normalises maps in training and their averages in the test, where the order of convolution, averaging and
    ReLU matters: so does this.
    """

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__(network, count)
        convolution = nn.Conv2d(self.width // count, self.width, kernel_size=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        self.branches = nn.Sequential(convolution, nn.BatchNorm2d(self.width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, n d): in train mode maps pass the branches, in eval mode their averages."""
        x = self.shared(x)
        x = self.avgpool(self.branches(x)) if self.training else self.branches(self.avgpool(x))
        return x.flatten(1)
