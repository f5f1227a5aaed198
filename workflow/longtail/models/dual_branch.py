"""The network that SimCLR, SDCLR, ConMix and its ablations share, so that each can go on from another's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from longtail.models.dual_batchnorm import DualBatchNorm2d, branch, projection_head
from longtail.models.pruning import PruningMask


class DualBranchNetwork(nn.Module):
    """Backbone and projection head with a dense and a pruned branch (VITA-Group/SDCLR, LZX-001/ConMix).

    Called, it is the dense branch: (B, C, H, W) to (B, projection_width), not normalised. The branches share all
    convolutions and linear layers and have batch normalisations of their own.

    Args:
        new_backbone: makes the backbone, given the class of its batch normalisations as ``norm``.
        projection_width: d of the representations v_i.
    """

    def __init__(self, new_backbone: Callable[..., Any], projection_width: int) -> None:
        super().__init__()
        self.backbone = new_backbone(norm=DualBatchNorm2d)
        self.head = projection_head(self.backbone.width, projection_width)
        self.mask = PruningMask(self.backbone)
        self.width = projection_width

    def forward(self, x: Tensor) -> Tensor:
        """The dense branch."""
        return self.head(self.backbone(x))

    def pruned(self, x: Tensor) -> Tensor:
        """The branch whose convolutions are masked; in train mode it moves its own running statistics only."""
        with branch(self, "pruned"):
            return self.head(functional_call(self.backbone, self.mask.masked(self.backbone), (x,)))

    def refresh_mask(self, ratio: float) -> None:
        """Prune anew the share ``ratio`` of the convolution weights that is smallest in magnitude."""
        self.mask.refresh(self.backbone, ratio)
