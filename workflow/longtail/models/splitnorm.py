"""Batch normalisation in groups, as several devices would do it on one (facebookresearch/moco, CIFAR-10 demo)."""

from __future__ import annotations

import copy
import functools
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from longtail.errors import LongtailError
from longtail.models.residual import Norm


class _Split(_BatchNorm):
    """Batch normalisation whose training statistics are those of ``splits`` interleaved groups of the batch.

    Image i belongs to group i mod ``splits``; the running statistics take the mean over the groups. In eval mode, and
    with one split, it is torch's; parameters and buffers have the same names.
    """

    def __init__(self, num_features: int, splits: int, **options: Any) -> None:
        super().__init__(num_features, **options)
        self.splits = splits

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C) or (B, C, H, W).

        Raises:
            LongtailError: in train mode, if the groups would not be of one size.
        """
        if not self.training or self.splits == 1:
            return super().forward(input)
        batch, channels, *sides = input.shape
        if batch % self.splits:
            raise LongtailError(
                f"A batch of {batch} images cannot be normalised in {self.splits} groups of one size. Use a batch_size "
                f"that is a multiple of {self.splits}, and set drop_last."
            )
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        means, variances = self.running_mean.repeat(self.splits), self.running_var.repeat(self.splits)
        output = functional.batch_norm(
            input.reshape(batch // self.splits, self.splits * channels, *sides),
            means,
            variances,
            self.weight.repeat(self.splits),
            self.bias.repeat(self.splits),
            training=True,
            momentum=self.momentum or 0.0,
            eps=self.eps,
        )
        self.running_mean.copy_(means.view(self.splits, channels).mean(0))
        self.running_var.copy_(variances.view(self.splits, channels).mean(0))
        self.num_batches_tracked.add_(1)
        return output.view(batch, channels, *sides)


class SplitBatchNorm1d(_Split, nn.BatchNorm1d):
    """The same of embeddings, (B, C), as ``nn.BatchNorm1d``."""


class SplitBatchNorm2d(_Split, nn.BatchNorm2d):
    """The same of images, (B, C, H, W), as ``nn.BatchNorm2d``."""


def norm_of(groups: int) -> Norm:
    """What makes the normalisation layers of a backbone whose batches are ``groups`` groups: torch's own for one."""
    return nn.BatchNorm2d if groups == 1 else functools.partial(SplitBatchNorm2d, splits=groups)


def unsplit(network: nn.Module) -> nn.Module:
    """A copy of ``network`` whose batch normalisation takes whole batches of any size."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, _Split):
            module.splits = 1
    return copied
