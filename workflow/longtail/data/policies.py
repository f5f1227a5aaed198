"""What strong views draw for an image: operations of Pillow one after the other (:mod:`longtail.data.operations`).

* SCAN (wvangansbeke/Unsupervised-Classification): so many of fourteen operations, each by any amount in its range.
* AutoAugment (Cubuk et al. 2019), its policy for CIFAR-10 as jiawei-ren/BalancedMetaSoftmax, dvlab-research/ResCom and
  dvlab-research/Parametric-Contrastive-Learning share it: one of 25 pairs of operations, each with a probability and
  one of ten levels. Shears are bicubic; images always turn against the clock; what comes from outside is grey, 128.
* RandAugment (Cubuk et al. 2020), timm's in dvlab-research/ResCom and dvlab-research/Parametric-Contrastive-Learning:
  so many of fifteen operations, each with probability one half, at levels scattered around one magnitude. Moves are
  bilinear or bicubic, as it comes; what comes from outside has ImageNet's mean colour, whatever the images are.
* Rotation (torchvision's RandomRotation, as in frank-xwang/RIDE-LongTailRecognition): nothing but a turn, by any angle
  within bounds. What comes from outside is black.

A policy takes uniform numbers and has no generator of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from longtail.data.operations import BICUBIC, BILINEAR, NEAREST, NUMBER

Colour = tuple[int, int, int]


class Step(NamedTuple):
    """What :func:`longtail.data.operations.operate` is told of a batch: one operation for each image.

    Attributes:
        operation: (B,) int64.
        amount: (B,) floating point.
        resampling: (B,) int64, or None for nearest pixels.
    """

    operation: Tensor
    amount: Tensor
    resampling: Tensor | None = None


class Policy(Protocol):
    """Draws operations.

    Attributes:
        columns: how many uniform numbers it takes for an image.
        fill: the colour of what comes from outside the image.
    """

    columns: int
    fill: Colour

    def steps(self, u: Tensor) -> list[Step]:
        """The operations of a batch, in their order.

        Args:
            u: (B, ``columns``) float32 in [0, 1), on the device of the images.
        """
        ...


SCAN: Mapping[str, tuple[float, float]] = {
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
"""SCAN's operations, which are the first of all, and the range of their amounts."""


class Scan:
    """``count`` operations, drawn with replacement, each by any amount in its range."""

    fill = (0, 0, 0)

    def __init__(self, count: int) -> None:
        self.count, self.columns = count, 2 * count
        self.ranges = torch.tensor(list(SCAN.values()), dtype=torch.float32)

    def steps(self, u: Tensor) -> list[Step]:
        """See :class:`Policy`."""
        ranges = self.ranges.to(u.device, non_blocking=True)
        steps = []
        for drawn, share in zip(u[:, : self.count].unbind(1), u[:, self.count :].unbind(1), strict=True):
            operation = (drawn * len(SCAN)).long().clamp_(max=len(SCAN) - 1)
            low, high = ranges[operation].unbind(1)
            steps.append(Step(operation, low + (high - low) * share))
        return steps


class Rotation:
    """Every image turned by any angle of at most ``degrees``, one way or the other."""

    columns = 1
    fill = (0, 0, 0)

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def steps(self, u: Tensor) -> list[Step]:
        """See :class:`Policy`."""
        angle = u[:, 0] * (2 * self.degrees) - self.degrees
        return [Step(torch.full_like(angle, NUMBER["rotate"], dtype=torch.int64), angle)]


Choice = tuple[str, float, int]
"""An operation, its probability and its level, 0..9."""

CIFAR10: tuple[tuple[Choice, Choice], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)
"""The pairs of AutoAugment for CIFAR-10 (Cubuk et al. 2019, appendix)."""

LEVELS: Mapping[str, tuple[float, float]] = {
    "shear_x": (0, 0.3),
    "shear_y": (0, 0.3),
    "translate_x": (0, 150 / 331),
    "translate_y": (0, 150 / 331),
    "rotate": (0, 30),
    "color": (0, 0.9),
    "contrast": (0, 0.9),
    "brightness": (0, 0.9),
    "sharpness": (0, 0.9),
    "solarize": (256, 0),
    "posterize": (8, 4),
}
"""The amounts at levels 0 and 9 of AutoAugment's operations, where they have any; of factors, what they are off 1."""

FACTORS = ("color", "contrast", "brightness", "sharpness")
SIGNED = (*FACTORS, "shear_x", "shear_y", "translate_x", "translate_y")


class AutoAugment:
    """One of the pairs, all alike; of the pair each operation with its own probability, and amounts of either sign."""

    columns = 5
    fill = (128, 128, 128)

    def __init__(self, pairs: tuple[tuple[Choice, Choice], ...] = CIFAR10) -> None:
        def table(value_of: Callable[[str, float, int], float]) -> Tensor:
            return torch.tensor([[value_of(*choice) for choice in pair] for pair in pairs], dtype=torch.float64)

        def size(name: str, level: int) -> float:
            value = float(np.linspace(*LEVELS.get(name, (0, 0)), 10)[level])
            return round(value) if name == "posterize" else value

        self.pairs = len(pairs)
        self.tables = torch.stack(
            [
                table(lambda name, probability, level: NUMBER[name]),
                table(lambda name, probability, level: probability),
                table(lambda name, probability, level: (name in FACTORS) if name in SIGNED else size(name, level)),
                table(lambda name, probability, level: size(name, level) * (name in SIGNED)),
                table(lambda name, probability, level: BICUBIC if name.startswith("shear") else NEAREST),
            ],
            2,
        )

    def steps(self, u: Tensor) -> list[Step]:
        """See :class:`Policy`."""
        pair = (u[:, 0] * self.pairs).long().clamp_(max=self.pairs - 1)
        drawn = self.tables.to(u.device, non_blocking=True)[pair]  # (B, 2, 5)
        steps = []
        for slot in range(2):
            operation, probability, fixed, swing, resampling = drawn[:, slot].unbind(1)
            happens, sign = u[:, 1 + slot] < probability, torch.where(u[:, 3 + slot] < 0.5, -1, 1)
            operation = torch.where(happens, operation.long(), NUMBER["identity"])
            steps.append(Step(operation, fixed + sign * swing, resampling.long()))
        return steps


RANDOM: Mapping[str, tuple[float, float]] = {
    "autocontrast": (0, 0),
    "equalize": (0, 0),
    "invert": (0, 0),
    "rotate": (0, 30),
    "posterize": (0, 4),
    "solarize": (0, 256),
    "solarize_add": (0, 110),
    "color": (0.1, 1.8),
    "contrast": (0.1, 1.8),
    "brightness": (0.1, 1.8),
    "sharpness": (0.1, 1.8),
    "shear_x": (0, 0.3),
    "shear_y": (0, 0.3),
    "translate_x": (0, 0.45),
    "translate_y": (0, 0.45),
}
"""The operations of timm's RandAugment, their amount at level 0, and what level 10 adds to it."""

MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
WHOLE = ("posterize", "solarize", "solarize_add")
HIGHEST = 10


class RandAugment:
    """Operations drawn with replacement, at levels that are normally distributed around one magnitude.

    Args:
        operations: how many are drawn for an image; each happens with probability one half.
        magnitude: mean of the level, 0..10.
        deviation: its standard deviation; levels beyond 0 and 10 are these.
    """

    fill = (124, 116, 104)

    def __init__(self, operations: int, magnitude: float, deviation: float) -> None:
        self.count, self.magnitude, self.deviation = operations, magnitude, deviation
        self.columns = 5 * operations
        rows = [(NUMBER[name], *RANDOM[name], name in WHOLE, name in MOVES) for name in RANDOM]
        self.table = torch.tensor(rows, dtype=torch.float64)

    def steps(self, u: Tensor) -> list[Step]:
        """See :class:`Policy`."""
        table = self.table.to(u.device, non_blocking=True)
        return [self._step(table, *part.unbind(1)) for part in u.split(5, 1)]

    def _step(self, table: Tensor, which: Tensor, happens: Tensor, sign: Tensor, how: Tensor, level: Tensor) -> Step:
        choice = (which * len(table)).long().clamp_(max=len(table) - 1)
        operation, least, span, whole, moved = table[choice].unbind(1)
        level = (self.magnitude + self.deviation * torch.special.ndtri(level.double())).clamp_(0, HIGHEST)
        amount = least + span * (level / HIGHEST)
        amount = torch.where(whole > 0, amount.floor(), amount)
        amount = torch.where((moved > 0) & (sign < 0.5), -amount, amount)
        operation = torch.where(happens < 0.5, operation.long(), NUMBER["identity"])
        return Step(operation, amount, torch.where(how < 0.5, BILINEAR, BICUBIC))
