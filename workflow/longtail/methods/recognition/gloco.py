"""GloCo: contrast with k images of the class from the whole training set, at temperatures that follow its size.

Long-Tailed Visual Recognition with Global Contrastive Learning and Prototype Learning. Its code was announced and never
released. The same with another base loss is GloCo Table 5, on KCL one module at a time Tables 2 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.global_contrast import adaptive_temperatures, global_contrast
from longtail.methods.losses.key_contrast import drawn
from longtail.methods.recognition.kcl import KCL
from longtail.methods.recognition.momentum_contrast import Pairs


class GloCo(KCL):
    """Queries attract their own key, the keys of k global positives, and, with a supervised base, others they meet.

    Views 1 and 2 are of the image. Each further one shows a global positive, so that k is the number of views less 2;
    as all keys, they come from the key network.

    Attributes:
        class_sizes: n, (K,) int64, a buffer.
    """

    @dataclass(frozen=True)
    class Settings(KCL.Settings):
        """Hyperparameters, besides those of KCL.

        Attributes:
            positives: of the base loss among the negatives: 0, None for all of the class (supervised), or k (KCL).
            adaptive: whether temperatures grow with the class from ``temperature``, then gamma, to 1.
            negatives: the ``queue``, or the other queries of the ``batch``.
        """

        adaptive: bool
        negatives: Literal["queue", "batch"]

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(self.temperature <= 1 or not self.adaptive, "temperature", self.temperature, "at most 1")

    class_sizes: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert context.class_sizes is not None
        self.register_buffer("class_sizes", context.class_sizes.clone())

    def shown(self, rows: Tensor, views: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The images twice, and in every further view another of the class of each, none of them twice."""
        ends = self.class_sizes.cumsum(0)  # rows are sorted by class
        labels = torch.searchsorted(ends, rows, right=True)
        sizes, starts = self.class_sizes[labels], (ends - self.class_sizes)[labels]
        mates = class_mates(rows - starts, sizes, max(views - 2, 0), generator)
        return (*(rows,) * min(views, 2), *(starts + mate for mate in mates))

    def temperatures(self, labels: Tensor) -> Tensor:
        """tau_i of each image, (B,) float64."""
        gamma = self.settings.temperature
        if self.settings.adaptive:
            return adaptive_temperatures(self.class_sizes, gamma)[labels]
        return torch.full_like(labels, gamma, dtype=torch.float64)

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_GloCo."""
        others, classes, competitors = pairs.past, pairs.past_labels, None
        if self.settings.negatives == "batch":
            others, classes = pairs.query, pairs.labels
            competitors = ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)
        of_class = pairs.labels[:, None] == classes
        of_class = of_class if competitors is None else of_class & competitors
        same = drawn(of_class, self.settings.positives, batch.generator)
        keys = [pairs.key, *(self.key(view, batch.generator) for view in batch.views[2:])]
        temperatures = self.temperatures(pairs.labels)
        return {"loss": global_contrast(pairs.query, keys, others, same, temperatures, competitors)}


def class_mates(positions: Tensor, sizes: Tensor, k: int, generator: torch.Generator) -> list[Tensor]:
    """Draw k others of the class of each image, uniformly without replacement; with it where the class has too few.

    In a class of one image that is the image itself.

    Args:
        positions: of each image in its class, (B,) int64, below its size.
        sizes: of its class, (B,) int64.
        k: how many.
        generator: on the device of ``positions``.

    Returns:
        k times their positions, (B,) int64.
    """
    lots = torch.rand(k, len(positions), dtype=torch.float64, device=positions.device, generator=generator)
    few = sizes <= k
    taken = [torch.where(sizes > 1, positions, sizes)]  # at ``sizes``, beyond all, what may be drawn again
    mates = []
    for number, lot in enumerate(lots, 1):
        free = sizes - torch.where(few, 1, number)
        mate = (lot * free.clamp(min=1)).long()  # the how-manieth of those that are not taken
        for earlier in torch.stack(taken).sort(0).values:
            mate = mate + (mate >= earlier)
        taken.append(torch.where(few, sizes, mate))
        mates.append(mate)
    return mates
