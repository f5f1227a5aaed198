"""Gaussian blur of a batch of images, each by a width of its own: torchvision's, or what Pillow takes for one.

Both are linear and act on rows and columns apart, so a blur is one small matrix per image and axis.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from longtail.errors import LongtailError

PASSES = 3  # of Pillow's box filter, which in the end is nearly a Gaussian


def blur(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Torchvision's: a Gaussian cut off at the kernel's ends, with the image mirrored at its border.

    Args:
        x: float (B, C, H, W) in [0, 1].
        sigma: (B,) standard deviations in pixels; images with 0 stay as they are.
        kernel: odd number of pixels.

    Raises:
        LongtailError: if the kernel reaches beyond the mirrored image.
    """
    height, width = x.shape[2:]
    radius = kernel // 2
    if radius >= min(height, width):
        raise LongtailError(f"A blur of {kernel} pixels does not fit images of {height}x{width}.")
    offsets = torch.arange(-radius, radius + 1, device=x.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-6)[:, None]) ** 2)
    weights = weights / weights.sum(1, keepdim=True)

    def matrix(size: int) -> Tensor:
        source = (torch.arange(size, device=x.device)[:, None] + offsets).abs()
        return _matrix(weights, torch.where(source >= size, 2 * (size - 1) - source, source))

    with torch.autocast(x.device.type, enabled=False):
        return _apply(x, matrix(height), matrix(width))


def blur_as_pillow(x: Tensor, sigma: Tensor, widest: float) -> Tensor:
    """Pillow's GaussianBlur(radius=sigma): three box filters whose ends count by a share, and the border goes on.

    Pillow rounds to 8 bits after each of its six passes, this does not (Gwosdek et al. 2011, eqs. 7, 11 and 14).

    Args:
        x: float (B, C, H, W) in [0, 1].
        sigma: (B,) standard deviations in pixels; images with 0 stay as they are.
        widest: the largest of them there may be.
    """
    variance = sigma**2 / PASSES
    whole = (((12 * variance + 1).sqrt() - 1) / 2).floor()
    share = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    radius = (whole + share)[:, None]
    reach = math.ceil(math.sqrt(12 * widest**2 / PASSES + 1) / 2) + 1
    offsets = torch.arange(-reach, reach + 1, device=x.device)
    weights = (radius + 1 - offsets.abs()).clamp_(0, 1) / (2 * radius + 1)

    def matrix(size: int) -> Tensor:
        source = (torch.arange(size, device=x.device)[:, None] + offsets).clamp_(0, size - 1)
        return torch.linalg.matrix_power(_matrix(weights, source), PASSES)

    with torch.autocast(x.device.type, enabled=False):
        return _apply(x, matrix(x.shape[2]), matrix(x.shape[3]))


def _matrix(weights: Tensor, source: Tensor) -> Tensor:
    """(B, size, size), of which row i adds up pixels ``source[i]`` (size, K) by their weights (B, K)."""
    taps = (source[:, :, None] == torch.arange(len(source), device=source.device)).float()
    return torch.einsum("bk,ikj->bij", weights, taps)


def _apply(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows`` @ image @ ``columns``^T for every image and channel; both (B, size, size)."""
    x = rows[:, None] @ x @ columns[:, None].transpose(2, 3)
    return x.clamp_(0, 1)  # weights add up to 1 but for their rounding
