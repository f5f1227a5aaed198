"""Pillow's resize for whole batches: of a box of each image, in floats, and of whole images, to Pillow's last bit.

Pillow's filters (antialiased; bicubic with a = -0.5; kernels cut off and renormalised at the border of the box) are
separable and linear, so crop, resize and flip of an image are one small matrix per axis, and a batch is two batched
matrix products. The horizontal pass comes first and is clipped, as in Pillow, which in recent versions swaps the passes
where one axis shrinks and the other grows; this code does not.

A matrix has a column for every pixel of its axis, of which a small box of a large photograph, or one that shrinks,
needs few. A GPU has that to spare, and need not be waited for. On a CPU images that differ in size (:class:`Pictures`)
are taken one by one instead: a box by PyTorch's own resize, which takes one box for all images it is given, and a whole
image by torchvision's of Pillow images. On one core matrices would take over ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from longtail.data.pictures import Pictures

CHUNK = 64  # images resized at a time, as float64 takes eight times their memory
VALUES = 2**25  # of a chunk at most: 128 MB as float32, 256 MB as float64


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp_(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2."""
    x = x.abs().clamp_(max=2)
    near = (1.5 * x - 2.5).mul_(x).mul_(x).add_(1)
    far = (-0.5 * x + 2.5).mul_(x).sub_(4).mul_(x).add_(2)
    return torch.where(x < 1, near, far)


FILTERS: Mapping[str, Callable[[Tensor], Tensor]] = {"bilinear": _triangle, "bicubic": _cubic}


def at_a_time(images: Tensor) -> int:
    """How many images (B, C, H, W) become floats at a time: those that there is memory for, one at least."""
    return max(1, min(CHUNK, VALUES // images[0].numel()))


def resampling(start: Tensor, length: Tensor, size: int, step: Tensor, wanted: Tensor, interpolation: str) -> Tensor:
    """Weights of Pillow's resize of a stretch of an axis.

    Args:
        start: (B,) first pixel of the stretch.
        length: (B,) pixels in it.
        size: pixels of the axis.
        step: (B,) pixels of the stretch for each of what it becomes.
        wanted: (T,) or (B, T) positions among the pixels that the stretch becomes.
        interpolation: a key of ``FILTERS``.

    Returns:
        (B, T, size), each row of weights adding up to 1.
    """
    position = torch.arange(size, device=start.device) + 0.5 - start[:, None]
    inside = (position > 0) & (position < length[:, None])
    centre = (wanted + 0.5) * step[:, None]
    support = step.clamp(min=1)[:, None, None]
    weights = FILTERS[interpolation]((position[:, None, :] - centre[:, :, None]).div_(support)) * inside[:, None, :]
    return weights / weights.sum(2, keepdim=True)


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows`` @ image @ ``columns``^T for every image and channel.

    Args:
        images: uint8 (B, C, H, W).
        rows: (B, S, H), or (1, S, H) for all images alike.
        columns: (B, T, W), or (1, T, W).

    Returns:
        float32 (B, C, S, T) in [0, 1], contiguous.
    """
    batch, channels, height, width = images.shape
    down, across = rows.shape[1], columns.shape[1]
    planes = images.permute(0, 2, 1, 3).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    with torch.autocast(images.device.type, enabled=False):
        x = planes.reshape(batch, height * channels, width) @ columns.expand(batch, -1, -1).transpose(1, 2)
        x = x.clamp_(0, 1).reshape(batch, height, channels * across)  # Pillow, too, clips between the two passes
        x = rows.expand(batch, -1, -1) @ x
    return x.reshape(batch, down, channels, across).transpose(1, 2).contiguous().clamp_(0, 1)


def cut_boxes(
    images: Tensor, box: tuple[Tensor, ...], flip: Tensor, size: tuple[int, int], interpolation: str
) -> Tensor:
    """A box of each image, brought to ``size``, by matrices.

    Args:
        images: uint8 (B, C, H, W).
        box: top, left, height and width in pixels, each (B,) float32 with whole values, within the image.
        flip: (B,) bool, whether what it shows is mirrored.
        size: rows and columns wanted.
        interpolation: a key of ``FILTERS``.

    Returns:
        float32 (B, C, *size) in [0, 1], contiguous.
    """
    top, left, height, width = box
    down, across = (torch.arange(length, device=images.device) for length in size)
    rows = resampling(top, height, images.shape[2], height / size[0], down, interpolation)
    columns = resampling(left, width, images.shape[3], width / size[1], across, interpolation)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    return resample(images, rows, columns)


def cut_each_box(
    images: Tensor, box: tuple[Tensor, ...], flip: Tensor, size: tuple[int, int], interpolation: str
) -> Tensor:
    """As :func:`cut_boxes`, to rounding, one image after the other; for a CPU, as it looks at the boxes."""
    views = torch.empty(*images.shape[:2], *size, device=images.device)
    places = torch.stack(box, 1).int().tolist()
    for view, image, (top, left, height, width), mirrored in zip(views, images, places, flip.tolist(), strict=True):
        part = image[:, top : top + height, left : left + width]
        x = (
            part.permute(1, 2, 0).to(torch.float32).permute(2, 0, 1)[None]
        )  # channels last: as decoded, no transposition
        with torch.autocast(images.device.type, enabled=False):
            for shape in ((height, size[1]), size):
                x = interpolate(x, shape, mode=interpolation, antialias=True).clamp_(0, 255)
        torch.mul(x[0].flip(2) if mirrored else x[0], 1 / 255, out=view)
    return views


def exact_resampling(length: Tensor, size: int, out: Tensor, wanted: Tensor, interpolation: str) -> Tensor:
    """Weights of Pillow's resize of the first pixels of an axis to 8 bits: multiples of 2^-22, as in its arithmetic.

    Args:
        length: (B,) int64, how many pixels.
        size: pixels of the axis.
        out: (B,) int64, how many they become.
        wanted: (T,) or (B, T) positions among those; what lies outside has no weights.
        interpolation: a key of ``FILTERS``.

    Returns:
        float64 (B, T, size).
    """
    length = length.double()
    weights = resampling(torch.zeros_like(length), length, size, length / out, wanted, interpolation)
    there = (wanted >= 0) & (wanted < out[:, None])
    return torch.where(there[:, :, None], (weights * 2**22).round() / 2**22, 0.0)


def resize_exactly(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Resize both axes, and round to 8 bits after each as Pillow does.

    Args:
        images: uint8 (B, C, H, W).
        rows: (B, S, H) from :func:`exact_resampling`, or (1, S, H) for all images alike. Sums of such multiples are
            exact in float64, in any order.
        columns: (B, T, W), or (1, T, W).

    Returns:
        uint8 (B, C, S, T).
    """
    channels, step, resized = images.shape[1], at_a_time(images), []
    rows, columns = (weights.expand(len(images), -1, -1) for weights in (rows, columns))
    for part, down, across in zip(images.split(step), rows.split(step), columns.split(step), strict=True):
        batch, _, height, width = part.shape
        x = part.permute(0, 2, 1, 3).to(torch.float64, memory_format=torch.contiguous_format)
        x = x.reshape(batch, height * channels, width) @ across.transpose(1, 2)
        x = down @ x.add_(0.5).floor_().clamp_(0, 255).reshape(batch, height, -1)
        x = x.add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)
        resized.append(x.reshape(batch, x.shape[1], channels, -1).transpose(1, 2))
    return torch.cat(resized)


def cut_centres(pictures: Pictures, resize: int | None, crop: int, interpolation: str) -> Tensor:
    """The centre of each picture as torchvision's Resize and CenterCrop give it of the Pillow image, to the last bit.

    Args:
        pictures: of any sizes.
        resize: pixels that the short side becomes; None to leave it.
        crop: side of the centre; what it lacks is black.
        interpolation: a key of ``FILTERS``.

    Returns:
        uint8 (B, C, crop, crop).
    """
    centres = _each_centre if pictures.device.type == "cpu" else _centres
    return centres(pictures, resize, crop, interpolation)


def _centres(pictures: Pictures, resize: int | None, crop: int, interpolation: str) -> Tensor:
    """By matrices, without looking at the sizes."""
    shown = []
    step = at_a_time(pictures.images)
    for images, height, width in zip(
        *(part.split(step) for part in (pictures.images, pictures.heights, pictures.widths)), strict=True
    ):
        short = height.minimum(width)
        axes = []
        for length, size in ((height, images.shape[2]), (width, images.shape[3])):
            out = length if resize is None else resize * length // short  # torchvision, too, rounds down
            lacking = (crop - out).clamp(min=0)
            first = ((out - crop).double() / 2).round().long().clamp(min=0) - lacking // 2
            wanted = first[:, None] + torch.arange(crop, device=images.device)
            axes.append(exact_resampling(length, size, out, wanted, interpolation))
        shown.append(resize_exactly(images, *axes))
    return torch.cat(shown)


def _each_centre(pictures: Pictures, resize: int | None, crop: int, interpolation: str) -> Tensor:
    """By torchvision, one after the other."""
    from torchvision.transforms import InterpolationMode, functional

    shown = []
    sizes = zip(pictures.heights.tolist(), pictures.widths.tolist(), strict=True)
    for picture, (height, width) in zip(pictures.images, sizes, strict=True):
        pixels = picture[:, :height, :width].permute(1, 2, 0).contiguous()
        image = Image.fromarray((pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).numpy())
        if resize is not None:
            image = functional.resize(image, [resize], InterpolationMode(interpolation))
        shown.append(np.asarray(functional.center_crop(image, [crop, crop])).reshape(crop, crop, -1))
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
