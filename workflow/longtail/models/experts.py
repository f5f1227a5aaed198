"""One backbone for several experts (RIDE, Wang et al., ICLR 2021; frank-xwang/RIDE-LongTailRecognition)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from longtail.models.residual import stages_of, stem_of

LATE_WIDTH = 0.75
"""Width of the last two stages as a share of the usual one: ``reduce_dimension`` of the official code."""


class ExpertTrunk(nn.Module):
    """Stem and first stages in common, the last two stages once per expert.

    Args:
        networks: one per expert, of one architecture: residual networks whose stages are called ``layer1`` to
            ``layer3`` or ``layer4``. The trunk takes over their layers, those in common from the first.

    Attributes:
        experts: how many there are, n.
        width: n d, where d is the width of one expert.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        first: Any = networks[0]
        self.shared = nn.Sequential(*stem_of(first), *stages_of(first)[:-2])
        self.late = nn.ModuleList(nn.Sequential(*stages_of(network)[-2:]) for network in networks)
        self.avgpool = first.avgpool
        self.experts = len(networks)
        self.width = self.experts * first.width

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, n d): the features of expert 1, of expert 2, ..., beside each other."""
        x = self.shared(x)
        return torch.cat([self.avgpool(stages(x)).flatten(1) for stages in self.late], dim=1)
