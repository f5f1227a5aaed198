"""The memory bank of instance discrimination: one representation per training image (Wu et al., CVPR 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class MemoryBank(nn.Module):
    """V, a slowly moving representation of every training image, as part of the checkpoint.

    It starts uniform in +-1 / sqrt(d / 3), not normalised; a row has length 1 from its first update on.

    Attributes:
        vectors: (rows, width) float32, in the order of the split.
    """

    vectors: Tensor

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width / 3)
        self.register_buffer("vectors", torch.empty(rows, width).uniform_(-bound, bound))

    @torch.no_grad()
    def update(self, rows: Tensor, representations: Tensor, momentum: float) -> None:
        """V_i <- norm(m V_i + (1 - m) f_i) for the images ``rows`` (B,), none of them twice, with f (B, d)."""
        moved = momentum * self.vectors[rows] + (1 - momentum) * representations.to(self.vectors.dtype)
        self.vectors.index_copy_(0, rows, functional.normalize(moved, dim=1))
