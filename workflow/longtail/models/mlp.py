"""The two-layer heads of BYOL (Grill et al. 2020, Section 3.3)."""

from __future__ import annotations

from torch import nn


def projector(width: int, hidden_width: int, projection_width: int) -> nn.Sequential:
    """(B, width) to (B, projection_width): linear, batch normalisation, ReLU, linear; nothing normalises the output."""
    return nn.Sequential(
        nn.Linear(width, hidden_width),
        nn.BatchNorm1d(hidden_width),
        nn.ReLU(),
        nn.Linear(hidden_width, projection_width),
    )


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
