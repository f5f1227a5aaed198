"""Two sets of batch normalisation over shared weights (SDCLR, Jiang et al., ICML 2021; VITA-Group/SDCLR).

SDCLR passes one view through the network as it is and the other through a pruned copy that shares its weights. The two
branches see different activations, so every batch normalisation keeps parameters and running statistics for each.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from torch import Tensor, nn

from longtail.errors import unknown

BRANCHES = ("dense", "pruned")


class DualBatchNorm(nn.Module):
    """Two batch normalisations of one width; ``branch`` names the one in use, ``dense`` outside of :func:`branch`."""

    layer: ClassVar[type[nn.BatchNorm1d] | type[nn.BatchNorm2d]]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = self.layer(width)
        self.pruned = self.layer(width)
        self.branch = "dense"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the set of the branch in use; the shape is kept."""
        return self.pruned(x) if self.branch == "pruned" else self.dense(x)


class DualBatchNorm1d(DualBatchNorm):
    """For (B, width)."""

    layer = nn.BatchNorm1d


class DualBatchNorm2d(DualBatchNorm):
    """For (B, width, H, W)."""

    layer = nn.BatchNorm2d


@contextmanager
def branch(network: nn.Module, name: str) -> Iterator[None]:
    """Use the sets of branch ``name`` in every :class:`DualBatchNorm` of ``network`` while the block runs.

    Raises:
        LongtailError: unless ``name`` is ``dense`` or ``pruned``.
    """
    if name not in BRANCHES:
        raise unknown("branch", name, BRANCHES)
    layers = [module for module in network.modules() if isinstance(module, DualBatchNorm)]
    for layer in layers:
        layer.branch = name
    try:
        yield
    finally:
        for layer in layers:
            layer.branch = "dense"


def dense_branch(network: nn.Module) -> nn.Module:
    """A copy of ``network`` that keeps, of every :class:`DualBatchNorm`, the dense set only."""
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, DualBatchNorm):
                setattr(module, name, child.dense)
    return copied


def projection_head(width: int, projection_width: int) -> nn.Sequential:
    """The three-layer head of the SDCLR and ConMix code: (B, width) to (B, projection_width), not normalised.

    Batch normalisation follows each linear layer, the last one too; only the first linear layer has a bias.
    """
    return nn.Sequential(
        nn.Linear(width, width),
        DualBatchNorm1d(width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width, bias=False),
        DualBatchNorm1d(width),
        nn.ReLU(inplace=True),
        nn.Linear(width, projection_width, bias=False),
        DualBatchNorm1d(projection_width),
    )
