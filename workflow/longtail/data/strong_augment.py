"""Strong views: random operations one after the other, and a patch cut out (RandAugment, Cubuk et al. 2020).

The list is that of the official code of SCAN (wvangansbeke/Unsupervised-Classification), which draws four of fourteen
operations of Pillow per image. As in :mod:`longtail.data.augment`, a whole batch is transformed at once on its device,
each image by operations of its own: every kind of operation is computed for all images and kept where it was drawn, so
shapes never depend on what was drawn. Unlike there, values are rounded to 8 bits after each operation, because
equalising and posterising mean something only then; each operation gives what Pillow gives, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from longtail.data.augment import Augmentation
from longtail.data.keys import is_count
from longtail.errors import LongtailError

OPERATIONS: Mapping[str, tuple[float, float]] = {
    "identity": (0, 1),
    "autocontrast": (0, 1),
    "equalize": (0, 1),
    "rotate": (-30, 30),
    "solarize": (0, 256),
    "color": (0.05, 0.95),
    "contrast": (0.05, 0.95),
    "brightness": (0.05, 0.95),
    "sharpness": (0.05, 0.95),
    "shear_x": (-0.1, 0.1),
    "translate_x": (-0.1, 0.1),
    "translate_y": (-0.1, 0.1),
    "posterize": (4, 8),
    "shear_y": (-0.1, 0.1),
}
"""The operations, and the range of their amount: degrees, threshold, factors, shares of the image, bits."""

NUMBER = {name: number for number, name in enumerate(OPERATIONS)}


def new_augmentation(spec: Mapping[str, Any], size: int, mean: Sequence[float]) -> Augmentation | StrongAugmentation:
    """The augmentation that an entry of the catalogue describes.

    Args:
        spec: what :class:`Augmentation` takes, and for a strong one also ``operations`` and ``cutout``.
        size: height and width of the views.
        mean: of the normalisation, per channel: what a cut-out patch shows, as it is 0 once normalised.
    """
    if "operations" in spec or "cutout" in spec:
        return StrongAugmentation(spec, size, mean)
    return Augmentation(spec, size)


class StrongAugmentation:
    """One random strong view of each image of a batch.

    Args:
        spec: ``operations``, how many are drawn per image, with replacement; ``cutout``, the longest side of the square
            that is cut out, 0 for none; and whatever :class:`Augmentation` takes, which comes before both.
        size: height and width of the views.
        mean: colour of the cut-out square, per channel, in [0, 1].

    Raises:
        LongtailError: for an unknown key, or a value out of its range.
    """

    def __init__(self, spec: Mapping[str, Any], size: int, mean: Sequence[float]) -> None:
        self.count, self.longest = spec.get("operations", 0), spec.get("cutout", 0)
        for name, value in (("operations", self.count), ("cutout", self.longest)):
            if value != 0 and not is_count(value):
                raise LongtailError(f"{name} of an augmentation is {value!r}; it must be a whole number, at least 0.")
        self.before = Augmentation({k: v for k, v in spec.items() if k not in ("operations", "cutout")}, size)
        self.mean = tuple(mean)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and apply.

        Args:
            images: uint8 (B, C, H, W), in any memory format.
            generator: source of the random numbers, on the device of ``images``.

        Returns:
            float32 (B, C, S, S) in [0, 1], not yet normalised.
        """
        x = (255 * self.before(images, generator)).round_()
        u = torch.rand(len(x), 2 * self.count + 3, generator=generator, device=generator.device)
        ranges = torch.tensor(list(OPERATIONS.values()), dtype=torch.float32, device=x.device)
        for slot in range(self.count):
            operation = (u[:, slot] * len(OPERATIONS)).long().clamp_(max=len(OPERATIONS) - 1)
            low, high = ranges[operation].unbind(1)
            x = operate(x, operation, low + (high - low) * u[:, self.count + slot])
        x = x.div_(255)
        return cut_out(x, u[:, 2 * self.count :], self.longest, self.mean) if self.longest else x


def operate(x: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """One operation per image.

    Args:
        x: (B, C, H, W) whole numbers in 0..255, floating point; C is 1 or 3.
        operation: (B,) int64, positions in :data:`OPERATIONS`.
        amount: (B,), within the operation's range.
    """

    def drawn(*names: str) -> Tensor:
        chosen = torch.stack([operation == NUMBER[name] for name in names]).any(0)
        return chosen[:, None, None, None]

    geometric = drawn("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
    blended = drawn("color", "contrast", "brightness", "sharpness")
    grey = _luma(x)
    target = _smooth(x)
    target = torch.where(drawn("brightness"), 0.0, target)
    target = torch.where(drawn("contrast"), _mean(grey), target)
    target = torch.where(drawn("color"), grey, target)
    value = amount[:, None, None, None]
    step = 2 ** (8 - value.floor())
    y = torch.where(geometric, _move(x, operation, amount), x)
    y = torch.where(blended, (target + value * (x - target)).floor(), y)
    y = torch.where(drawn("solarize") & (x >= value), 255 - x, y)
    y = torch.where(drawn("posterize"), (x / step).floor() * step, y)
    y = torch.where(drawn("autocontrast"), _autocontrast(x), y)
    return torch.where(drawn("equalize"), _equalize(x), y)


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


def _move(x: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Rotated, sheared or shifted images, by nearest pixels; what comes from outside is black.

    Pillow follows a row in steps of 2^-16 pixels when it rotates or shears, and shifts by whole pixels.
    """
    batch, channels, height, width = x.shape
    amount = amount.double()

    def where(name: str, value: Tensor) -> Tensor:
        return torch.where(operation == NUMBER[name], value, 0.0)

    angle = where("rotate", -amount * (math.pi / 180))
    cosine, sine = angle.cos(), angle.sin()
    across, down = width / 2, height / 2
    a, b = cosine, sine + where("shear_x", amount)
    d, e = where("shear_y", amount) - sine, cosine
    c = across - across * cosine - down * sine + where("translate_x", amount * width)
    f = down + across * sine - down * cosine + where("translate_y", amount * height)
    shifted = (operation == NUMBER["translate_x"]) | (operation == NUMBER["translate_y"])
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
    place = from_row.clamp(0, height - 1) * width + from_column.clamp(0, width - 1)
    taken = x.reshape(batch, channels, -1).gather(2, place.view(batch, 1, -1).expand(-1, channels, -1))
    return taken.view_as(x) * inside[:, None]


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


def cut_out(x: Tensor, draws: Tensor, longest: int, colour: Sequence[float]) -> Tensor:
    """A square of a random size at a random place, cut off at the border.

    Args:
        x: (B, C, H, W).
        draws: (B, 3) in [0, 1): where the side lies in 1..``longest``, of which odd ones are cut one pixel shorter; and
            where the centre lies, from the top and from the left.
        longest: side of the largest square, in pixels.
        colour: of the square, per channel.
    """
    length, down, across = draws.unbind(1)
    height, width = x.shape[2:]
    half = ((length * longest).floor().clamp(max=longest - 1) + 1).div(2, rounding_mode="floor")[:, None]

    def covered(share: Tensor, size: int) -> Tensor:
        centre = (share * size).floor().clamp(max=size - 1)[:, None]
        position = torch.arange(size, device=x.device)
        return (position >= centre - half) & (position < centre + half)

    square = covered(down, height)[:, None, :, None] & covered(across, width)[:, None, None, :]
    return torch.where(square, torch.tensor(colour, dtype=x.dtype, device=x.device)[:, None, None], x)
