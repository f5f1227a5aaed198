"""Images of a batch that differ in size, such as whole photographs, in one tensor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images of a batch, each in the upper left corner of a frame that holds the largest.

    Attributes:
        images: uint8 (B, C, H, W), in any memory format; what lies beyond an image's own size means nothing.
        heights: (B,) int64, 1..H, on the same device.
        widths: (B,) int64, 1..W, likewise.
        whole: whether every image fills the frame. Where None is given it is looked up, and a GPU waited for: make a
            batch on the CPU and move it.
    """

    images: Tensor
    heights: Tensor
    widths: Tensor
    whole: bool | None = None

    def __post_init__(self) -> None:
        if self.whole is None:
            height, width = self.images.shape[2:]
            filled = (self.heights == height) & (self.widths == width)
            object.__setattr__(self, "whole", bool(filled.all()))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> torch.Size:
        """(B, C, H, W) of the frames."""
        return self.images.shape

    @property
    def device(self) -> torch.device:
        """Where the images and their sizes are."""
        return self.images.device

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Pictures:
        """The same on another device."""
        images, heights, widths = (
            part.to(device, non_blocking=non_blocking) for part in (self.images, self.heights, self.widths)
        )
        return Pictures(images, heights, widths, self.whole)
