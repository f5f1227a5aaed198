"""Operations of Pillow on whole batches of 8-bit images, another one for each image, equal to Pillow to the last bit.

What policies such as RandAugment and AutoAugment draw from. On a GPU every kind of operation is computed for all images
and kept where it was drawn, so shapes never depend on what was drawn and nothing waits for it; on a CPU, where nothing
has to be waited for, only for the images that drew it, which is several times as fast and gives the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

CHUNK = 64  # images that are interpolated at a time, as sixteen neighbours in float64 take 128 times their memory

OPERATIONS = (
    *("identity", "autocontrast", "equalize", "rotate", "solarize", "color", "contrast", "brightness", "sharpness"),
    *("shear_x", "translate_x", "translate_y", "posterize", "shear_y", "invert", "solarize_add"),
)
"""All operations; SCAN numbers its own by their order. Amounts are, of ``rotate``, degrees against the clock; of
``solarize``, the least value that is inverted; of ``solarize_add``, what is added to values below 128; of ``color``,
``contrast``, ``brightness`` and ``sharpness``, a factor, 1 for the image as it is; of shears, pixels per pixel; of
translations, shares of the image, to the left or upwards; of ``posterize``, the bits that are kept."""

NUMBER = {name: number for number, name in enumerate(OPERATIONS)}
NEAREST, BILINEAR, BICUBIC = range(3)
"""How moved pixels are read."""


def operate(
    x: Tensor,
    operation: Tensor,
    amount: Tensor,
    resampling: Tensor | None = None,
    fill: Sequence[float] = (0, 0, 0),
) -> Tensor:
    """One operation per image.

    Args:
        x: (B, C, H, W) whole numbers in 0..255, floating point; C is 1 or 3.
        operation: (B,) int64, positions in :data:`OPERATIONS`.
        amount: (B,) floating point; float64 where Pillow is given numbers that float32 does not hold.
        resampling: (B,) int64, how operations that move pixels read them; None for the nearest pixel in all images.
        fill: red, green and blue, 0..255, of what comes from outside; grey images show its grey.

    Returns:
        As ``x``.
    """

    def drawn(*names: str) -> Tensor:
        return torch.stack([operation == NUMBER[name] for name in names]).any(0)

    y = x.clone()
    for name, recolour in RECOLOURED.items():
        y = _put(y, drawn(name), recolour, x, amount)
    moved = drawn("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
    shifted = drawn("translate_x", "translate_y")
    colour = torch.tensor(fill, dtype=x.dtype, device="cpu")[None, :, None, None]
    colour = (_luma(colour)[:, :1] if x.shape[1] == 1 else colour).to(x.device, non_blocking=True)
    matrix = _matrices(operation, amount, *x.shape[2:])
    nearest = moved if resampling is None else moved & (resampling == NEAREST)
    y = _put(y, nearest, partial(_nearest, colour=colour), x, matrix, shifted)
    if resampling is not None:
        cubic = resampling == BICUBIC
        y = _put(y, moved & ~nearest, partial(_interpolated, colour=colour), x, matrix, cubic)
    return y


def _put(y: Tensor, chosen: Tensor, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """``y`` (B, ...), which may be overwritten, with ``function`` of the inputs' entries where ``chosen`` (B,)."""
    if y.device.type != "cpu":
        return torch.where(chosen[:, None, None, None], function(*inputs), y)
    images = chosen.nonzero().squeeze(1)
    if not len(images):
        return y
    return y.index_copy_(0, images, function(*(value[images] for value in inputs)))


def _blend(target: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """Pillow's ImageEnhance: from the target (factor 0) to the image (1), and beyond."""
    return (target + factor.to(x.dtype)[:, None, None, None] * (x - target)).clamp_(0, 255).floor_()


def _solarize(x: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(x >= threshold[:, None, None, None], 255 - x, x)


def _solarize_add(x: Tensor, added: Tensor) -> Tensor:
    return torch.where(x < 128, (x + added.to(x.dtype)[:, None, None, None]).clamp_(max=255), x)


def _posterize(x: Tensor, bits: Tensor) -> Tensor:
    step = (2 ** (8 - bits.to(x.dtype).floor()))[:, None, None, None]
    return (x / step).floor() * step


def _luma(x: Tensor) -> Tensor:
    """Pillow's grey (B, C, H, W), the same in every channel, in its integer arithmetic."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.split(1, 1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536).floor().expand_as(x)


def _mean(grey: Tensor) -> Tensor:
    """The mean of each channel, (B, C, 1, 1), rounded; in float64, as float32 holds no sum over a large image."""
    return (grey.mean((2, 3), keepdim=True, dtype=torch.float64) + 0.5).floor().to(grey.dtype)


def _smooth(x: Tensor) -> Tensor:
    """Pillow's SMOOTH filter: the centre counts five times, its neighbours once; the border stays."""
    height, width = x.shape[2:]
    if min(height, width) < 3:
        return x
    total = 4 * x[:, :, 1:-1, 1:-1]
    for down in range(3):
        for across in range(3):
            total = total + x[:, :, down : height - 2 + down, across : width - 2 + across]
    smoothed = x.clone()
    smoothed[:, :, 1:-1, 1:-1] = (total / 13 + 0.5).floor()
    return smoothed


def _matrices(operation: Tensor, amount: Tensor, height: int, width: int) -> Tensor:
    """Where the pixels of each image come from, (B, 6) float64: from column a x + b y + c and row d x + e y + f.

    In the order of Pillow's own arithmetic: a pixel that is turned onto itself is just that.
    """
    amount = amount.double()

    def where(name: str, value: Tensor) -> Tensor:
        return torch.where(operation == NUMBER[name], value, 0.0)

    angle = where("rotate", -amount.remainder(360) * (math.pi / 180))
    cosine, sine = (((value * 1e15).round() / 1e15) for value in (angle.cos(), angle.sin()))
    across, down = width / 2, height / 2
    a, b = cosine, sine + where("shear_x", amount)
    d, e = where("shear_y", amount) - sine, cosine
    c = (cosine * -across + sine * -down) + across + where("translate_x", amount * width)
    f = (-sine * -across + cosine * -down) + down + where("translate_y", amount * height)
    return torch.stack([a, b, c, d, e, f], 1)


def _nearest(x: Tensor, matrix: Tensor, shifted: Tensor, colour: Tensor) -> Tensor:
    """Moved images, by nearest pixels.

    Pillow follows a row in steps of 2^-16 pixels when it rotates or shears, and shifts by whole pixels.
    """
    height, width = x.shape[2:]
    a, b, c, d, e, f = matrix.unbind(1)
    columns = torch.arange(width, device=x.device)
    rows = torch.arange(height, device=x.device)[:, None]

    def fixed(value: Tensor) -> Tensor:
        """In units of 2^-16, (B, 1, 1) int64."""
        return (value * 65536 + 0.5).floor().long()[:, None, None]

    def source(first: Tensor, second: Tensor, shift: Tensor) -> Tensor:
        """The pixel that each pixel (B, H, W) is taken from, along one axis."""
        start = shift + 0.5 * first + 0.5 * second  # where the centre of the first pixel comes from
        start = torch.where(shifted, start.floor(), start)
        return (fixed(first) * columns + fixed(second) * rows + fixed(start)) >> 16

    from_column, from_row = source(a, b, c), source(d, e, f)
    inside = (from_column >= 0) & (from_column < width) & (from_row >= 0) & (from_row < height)
    return torch.where(inside[:, None], _pixels(x, from_row, from_column), colour)


def _interpolated(x: Tensor, matrix: Tensor, cubic: Tensor, colour: Tensor) -> Tensor:
    """Moved images, between two pixels along each axis, or four where ``cubic`` (B,), and rounded down.

    The cubic is Pillow's for transforms, a = -1. In its arithmetic, float64, and in its order.
    """
    if len(x) > CHUNK:
        parts = zip(x.split(CHUNK), matrix.split(CHUNK), cubic.split(CHUNK), strict=True)
        return torch.cat([_interpolated(*part, colour=colour) for part in parts])
    height, width = x.shape[2:]
    a, b, c, d, e, f = matrix[:, :, None, None].unbind(1)
    columns = torch.arange(width, device=x.device) + 0.5
    rows = torch.arange(height, device=x.device)[:, None] + 0.5
    across, down = a * columns + b * rows + c, d * columns + e * rows + f
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    across, down = across - 0.5, down - 0.5
    left, top = across.floor(), down.floor()
    cubic = cubic[:, None, None, None]

    def between(values: list[Tensor], share: Tensor) -> Tensor:
        before, first, second, after = values
        linear = first + (second - first) * share
        slope, bend = second - before, 2 * (before - first) + second - after
        curve = first + share * (slope + share * (bend + share * (first - before - second + after)))
        return torch.where(cubic, curve, linear)

    neighbours = range(-1, 3)
    lines = []
    for i in neighbours:
        line = [_pixels(x, (top + i).long(), (left + j).long()).double() for j in neighbours]
        lines.append(between(line, (across - left)[:, None]))
    value = between(lines, (down - top)[:, None]).clamp_(0, 255).floor_().to(x.dtype)
    return torch.where(inside[:, None], value, colour)


def _pixels(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Of each image (B, C, H, W) the pixels at (B, I, J) places, or on the border where they lie outside."""
    batch, channels, height, width = x.shape
    place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    taken = x.reshape(batch, channels, -1).gather(2, place.view(batch, 1, -1).expand(-1, channels, -1))
    return taken.view(batch, channels, *place.shape[1:])


def _autocontrast(x: Tensor) -> Tensor:
    """Each channel stretched to 0..255, if it has two values; in float64, where Pillow computes its table."""
    wide = x.double()
    low, high = wide.amin((2, 3), keepdim=True), wide.amax((2, 3), keepdim=True)
    scale = torch.full_like(high, 255) / (high - low).clamp_min(1)  # 255 / x would be 255 times a reciprocal
    stretched = (wide * scale - low * scale).floor().clamp(0, 255).to(x.dtype)
    return torch.where(high > low, stretched, x)


def _equalize(x: Tensor) -> Tensor:
    """Each channel by Pillow's table, which spreads its histogram; unchanged where few pixels are not the brightest.

    The table rises by one for every ``step`` pixels, a 255th of those that are not the brightest, rounded down: it may
    pass 255, the more the fewer pixels there are, and ends there.
    """
    batch, channels = x.shape[:2]
    values = x.long().reshape(batch * channels, -1)
    offset = 256 * torch.arange(batch * channels, device=x.device)[:, None]
    places = (values + offset).flatten()
    counts = torch.zeros(256 * batch * channels, dtype=torch.int64, device=x.device)
    counts = counts.index_add_(0, places, torch.ones_like(places)).view(-1, 256)
    brightest = counts.gather(1, values.amax(1, keepdim=True))
    step = (values.shape[1] - brightest) // 255
    table = ((step // 2 + counts.cumsum(1) - counts) // step.clamp_min(1)).clamp_max(255)
    spread = table.gather(1, values).view_as(x).to(x.dtype)
    return torch.where((step > 0).view(batch, channels, 1, 1), spread, x)


RECOLOURED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": lambda x, _: _autocontrast(x),
    "equalize": lambda x, _: _equalize(x),
    "invert": lambda x, _: 255 - x,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "posterize": _posterize,
    "color": lambda x, factor: _blend(_luma(x), x, factor),
    "contrast": lambda x, factor: _blend(_mean(_luma(x)), x, factor),
    "brightness": lambda x, factor: _blend(torch.zeros_like(x), x, factor),
    "sharpness": lambda x, factor: _blend(_smooth(x), x, factor),
}
"""The operations that move no pixel, as functions of the images and their amounts (B,)."""
