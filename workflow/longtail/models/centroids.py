"""Centroids of classes among embeddings, as a classifier of these."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Centroids(nn.Module):
    """s_k = z . c^k / tau of z scaled to length 1: ICCL Eq. 4. Whoever trains moves them; no gradient does.

    Attributes:
        weight: c, (K, d), a buffer, zeros at first; called as in other classifiers, so that it is stored like theirs.

    Args:
        classes: K.
        width: d.
        temperature: tau.
    """

    bias = None
    weight: Tensor

    def __init__(self, classes: int, width: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("weight", torch.zeros(classes, width))

    def forward(self, z: Tensor) -> Tensor:
        """(B, d) to (B, K)."""
        return functional.normalize(z, dim=1) @ self.weight.T / self.temperature
