"""The queue of past keys that MoCo contrasts against (He et al. 2020, Section 3.2), with or without their classes."""

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
        self.keys.index_copy_(0, self._oldest(len(keys)), keys.to(self.keys.dtype))
        self.pointer.add_(len(keys)).remainder_(len(self.keys))

    def _oldest(self, count: int) -> Tensor:
        """The rows that the next ``count`` keys overwrite, (count,) int64."""
        size = len(self.keys)
        if count > size:
            raise LongtailError(
                f"A batch of {count} keys does not fit a queue of {size}: give it more keys or lower batch_size."
            )
        return (self.pointer + torch.arange(count, device=self.pointer.device)) % size


class LabelledQueue(KeyQueue):
    """A queue that remembers the class of each key, too.

    Attributes:
        labels: (size,) int64; -1, which is no class, where no key was put in yet (LTH14/targeted-supcon).
    """

    labels: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width)
        self.register_buffer("labels", torch.full((size,), -1))

    @torch.no_grad()
    def put(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the oldest rows by ``keys`` (B, width) of the classes ``labels`` (B,) int64.

        Raises:
            LongtailError: if the batch has more keys than the queue has rows.
        """
        self.labels.index_copy_(0, self._oldest(len(keys)), labels)
        self.enqueue(keys)
