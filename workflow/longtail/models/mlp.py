"""Heads of two layers: those of BYOL (Grill et al. 2020, Section 3.3), and those of supervised contrast."""

from __future__ import annotations

from torch import nn

from longtail.models.splitnorm import SplitBatchNorm1d


def projector(width: int, hidden_width: int, projection_width: int, groups: int = 1) -> nn.Sequential:
    """(B, width) to (B, projection_width): linear, batch normalisation, ReLU, linear; nothing normalises the output.

    With a hidden layer as wide as the input it is that of dvlab-research/ResCom and of PaCo's code. ``groups`` of a
    batch, interleaved, are normalised apart.
    """
    return nn.Sequential(
        nn.Linear(width, hidden_width),
        nn.BatchNorm1d(hidden_width) if groups == 1 else SplitBatchNorm1d(hidden_width, groups),
        nn.ReLU(),
        nn.Linear(hidden_width, projection_width),
    )


def plain_projector(width: int, projection_width: int) -> nn.Sequential:
    """(B, width) to (B, projection_width): linear, ReLU, linear, with PyTorch's start and no normalisation.

    The head of HobbitLong/SupContrast, where the projection has 128 dimensions, and of MoCo v2.
    """
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection_width))


def predictor(projection_width: int, hidden_width: int) -> nn.Sequential:
    """A :func:`projector` from projections to projections whose linear weights start as N(0, 0.01^2), biases at 0.

    The initialisation is the one of Hzzone/ProPos and LZX-001/MiniClustering.
    """
    network = projector(projection_width, hidden_width, projection_width)
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    return network
