"""The classifier of De-confound-TDE (Tang et al., NeurIPS 2020; KaihuaTang/Long-Tailed-Recognition.pytorch)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import LongtailError


class Deconfounded(nn.Module):
    """Cosine-like logits, from which the effect of the direction that training drifts in is removed in eval mode.

    With x_g, w_g and c_g the parts of h / |h_g|, w / (|w_g| + gamma) and c / |c_g| in group g of the feature:

        training: s = (t / H) sum_g x_g . w_g                      evaluation: x_g - alpha (x_g . c_g) c_g for x_g

    There is no bias. c is the sum of the features of all batches, mu^n for one n batches ago. Its length plays no part,
    so the code leaves out the factor 1 - mu of a moving average. A group of zeros has no direction: it adds 0, where
    the code divides by its length. Weights start uniform in +-1 / sqrt(d).

    Args:
        width: d.
        classes: K.
        groups: H, of equally many dimensions.
        scale: t.
        gamma: what lengths of weights are increased by.
        alpha: how much of the effect is removed.
        mu: decay of c.

    Attributes:
        weight: (K, d).
        direction: c, (d,), a buffer. Training mode moves it, by the features of the batch, before anything is computed.

    Raises:
        LongtailError: if H does not divide d.
    """

    bias = None
    direction: Tensor

    def __init__(
        self, width: int, classes: int, groups: int, scale: float, gamma: float, alpha: float, mu: float
    ) -> None:
        super().__init__()
        if width % groups:
            raise LongtailError(
                f"A feature of width {width} cannot be cut into {groups} groups: set groups to a divisor of {width}."
            )
        self.groups, self.scale, self.gamma, self.alpha, self.mu = groups, scale, gamma, alpha, mu
        bound = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(classes, width).uniform_(-bound, bound))
        self.register_buffer("direction", torch.zeros(width))

    def forward(self, h: Tensor) -> Tensor:
        """(B, d) to (B, K)."""
        with torch.autocast(h.device.type, enabled=False):
            h = h.to(self.weight.dtype)
            if self.training:
                self.direction.mul_(self.mu).add_(h.detach().mean(0))
            x, w = self.grouped(h), self.grouped(self.weight)
            x, w = functional.normalize(x, dim=2), w / (w.norm(dim=2, keepdim=True) + self.gamma)
            if not self.training:
                c = functional.normalize(self.grouped(self.direction[None]), dim=2)
                x = x - self.alpha * (x * c).sum(2, keepdim=True) * c
            return self.scale / self.groups * functional.linear(x.flatten(1), w.flatten(1))

    def grouped(self, v: Tensor) -> Tensor:
        """(n, d) to (n, H, d / H)."""
        return v.unflatten(1, (self.groups, -1))
