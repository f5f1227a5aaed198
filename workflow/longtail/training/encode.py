"""A whole split through a network, as it is embedded: unaugmented, in eval mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from longtail.data.augment import Normalization, unaugmented
from longtail.data.resident import ResidentSplit
from longtail.training.precision import autocast

ROWS = 512


class SplitImages:
    """The images of a split for the networks of one phase (a ``longtail.methods.base.Images``).

    Args:
        split: the images, on the device of the networks.
        data: the specification's ``data``: ``image_size`` and ``test_transform``.
        normalization: ``mean`` and ``std`` of the stretch.
        dtype: what autocast computes in; float32 switches it off.
    """

    def __init__(
        self, split: ResidentSplit, data: Mapping[str, Any], normalization: Mapping[str, Any], dtype: torch.dtype
    ) -> None:
        self.split = split
        self.size, self.transform = data["image_size"], data["test_transform"]
        self.normalization = Normalization(normalization["mean"], normalization["std"], split.device)
        self.dtype = dtype

    def normalize(self, images: Tensor) -> Tensor:
        """Normalised images, (B, C, H, W) float32, channels last in memory as the networks are."""
        return self.normalization(images).contiguous(memory_format=torch.channels_last)

    def encode(self, encoder: nn.Module, order: Tensor | None = None) -> Tensor:
        """Outputs of ``encoder`` in eval mode for every row of the split in order, (N, d) float32, no gradient.

        ``order``, a permutation of the rows, (N,) int64, is that in which they pass through the encoder.
        """
        if order is None:
            return self.encode_all(encoder)[0]
        order = order.to(self.split.device)
        outputs = self.encode_all(encoder, order)[0]
        return torch.empty_like(outputs).index_copy_(0, order, outputs)

    @torch.no_grad()
    def encode_all(self, encoder: nn.Module, rows: Tensor | None = None) -> tuple[Tensor, ...]:
        """Like :meth:`encode`, with the logits as a second tensor where the encoder gives a pair.

        Of ``rows`` only and in their order, where they are given.
        """
        outputs = []
        every = torch.arange(len(self.split), device=self.split.device) if rows is None else rows
        with evaluating(encoder):
            for rows in every.split(ROWS):
                views = self.normalize(unaugmented(self.split.batch(rows), self.transform, self.size))
                with autocast(self.dtype, self.split.device):
                    output = encoder(views)
                outputs.append(output if isinstance(output, tuple) else (output,))
        return tuple(torch.cat(part).float() for part in zip(*outputs, strict=True))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode for ``module``, and afterwards each part of it in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
