"""The queue of past keys that MoCo contrasts against (He et al. 2020, Section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import LongtailError


class KeyQueue(nn.Module):
    """The last ``size`` unit vectors that were put in, first in first out, as part of the checkpoint.

    It starts with random unit vectors, so its shape never changes, and its pointer is a tensor, so that using it never
    waits for the device.

    Attributes:
        keys: (size, width) float32, unit rows.
        pointer: scalar int64, the row that the next key overwrites: the oldest.
    """

    keys: Tensor
    pointer: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", functional.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest rows by ``keys`` (B, width).

        Raises:
            LongtailError: if the batch has more keys than the queue has rows.
        """
        size = len(self.keys)
        if len(keys) > size:
            raise LongtailError(
                f"A batch of {len(keys)} keys does not fit a queue of {size}: raise queue_size or lower batch_size."
            )
        rows = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.keys.index_copy_(0, rows, keys.to(self.keys.dtype))
        self.pointer.add_(len(keys)).remainder_(size)
