"""Batch normalisation in groups, as several devices would do it on one (facebookresearch/moco, CIFAR-10 demo)."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import LongtailError


class SplitBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose training statistics are those of ``splits`` interleaved groups of the batch.

    Image i belongs to group i mod ``splits``; the running statistics take the mean over the groups. In eval mode, and
    with one split, it is ``nn.BatchNorm2d``; parameters and buffers have the same names.
    """

    def __init__(self, num_features: int, splits: int, **options: Any) -> None:
        super().__init__(num_features, **options)
        self.splits = splits

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W).

        Raises:
            LongtailError: in train mode, if the groups would not be of one size.
        """
        if not self.training or self.splits == 1:
            return super().forward(input)
        batch, channels, height, width = input.shape
        if batch % self.splits:
            raise LongtailError(
                f"A batch of {batch} images cannot be normalised in {self.splits} groups of one size. Use a batch_size "
                f"that is a multiple of batchnorm_splits and set drop_last."
            )
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        means, variances = self.running_mean.repeat(self.splits), self.running_var.repeat(self.splits)
        output = functional.batch_norm(
            input.reshape(batch // self.splits, self.splits * channels, height, width),
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
        return output.view(batch, channels, height, width)


def unsplit(network: nn.Module) -> nn.Module:
    """A copy of ``network`` whose batch normalisation takes whole batches of any size."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, SplitBatchNorm2d):
            module.splits = 1
    return copied
