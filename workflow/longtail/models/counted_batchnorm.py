"""Batch normalisation by the statistics of some of a batch's maps, so that their number changes no shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CountedBatchNorm2d(nn.BatchNorm2d):
    """Normalises all maps by the mean and variance of those that count.

    In eval mode, and as long as ``counted`` is None, it is ``nn.BatchNorm2d``, whose parameters and buffers it has.

    Attributes:
        counted: which maps of the training batches to come count, (B,) bool, or None for all. It is set before a
            forward pass and left there, since recomputed activations meet it in the backward pass again.
    """

    counted: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W), in the precision of the weights; maps that do not count move no statistics."""
        if not self.training or self.counted is None:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        x = input.to(self.weight.dtype)
        counts = self.counted[:, None, None, None].to(x.dtype)
        values = counts.sum() * x[0, 0].numel()
        mean = (counts * x).sum((0, 2, 3), keepdim=True) / values
        centred = x - mean
        variance = (counts * centred.square()).sum((0, 2, 3)) / values
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.flatten(), momentum)
            self.running_var.lerp_(variance * (values / (values - 1)), momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)
