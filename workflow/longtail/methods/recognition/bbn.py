"""BBN: a branch for images as they come, and one for those of rare classes (Zhou et al., CVPR 2020).

Follows Megvii-Nanjing/BBN. A step shows two images side by side: one drawn uniformly to the first branch, one drawn by
the reversed class frequencies to the second. Learning shifts from the former to the latter, epoch by epoch. An image
that is to be predicted goes through both branches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from longtail.methods.base import Batch, Context, Images, Objective
from longtail.methods.checks import require
from longtail.methods.losses.bbn import bbn, mixed_feature, parabolic_decay
from longtail.methods.losses.classification import accuracy
from longtail.methods.recognition.classification import Classification
from longtail.models.branches import LastBlocks


class Shifting(Classification):
    """Two losses, of which the first counts alone at first and the second at the end; a step sees two batches.

    Attributes:
        done: share of the clock's updates that are done, a scalar float64.
        alpha: the share of the first loss in this epoch, a scalar float64.
    """

    done: Tensor
    alpha: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.register_buffer("done", torch.zeros((), dtype=torch.float64))
        self.register_buffer("alpha", torch.ones((), dtype=torch.float64))

    def start_epoch(self, epoch: int, images: Images) -> None:
        """Between two epochs, what is done is e / T of the clock: alpha stays the same until the next one."""
        self.alpha.copy_(parabolic_decay(self.shifted(self.done)))

    def shifted(self, done: Tensor) -> Tensor:
        """The share of the shift that is done once that share of the clock is: the same."""
        return done

    def after_step(self, progress: float) -> None:
        """Remember ``progress``."""
        self.done.fill_(progress)


class BBN(Shifting):
    """Cross-entropy of the logits that two images have together, with the class of the one and that of the other."""

    @dataclass(frozen=True)
    class Settings(Shifting.Settings):
        """Hyperparameters, besides the classifier's.

        Attributes:
            clock_share: what share of the shift a clock comes to. Trainings of 90 and 180 epochs are cut off of shifts
                in 100 and 200 in the code.
        """

        clock_share: float = field(default=1.0, kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            require(0 < self.clock_share <= 1, "clock_share", self.clock_share, "above 0 and at most 1")

    def shifted(self, done: Tensor) -> Tensor:
        """The share of the shift that is done once that share of the clock is."""
        return done * self.settings.clock_share

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A trunk with two branches."""
        return LastBlocks([context.new_backbone(), context.new_backbone()])

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, ``alpha``, and ``accuracy`` in percent, weighted as the loss is.

        The trunk sees the batches one after the other, also where alpha is 1: each has batch statistics of its own, and
        moves the running ones.
        """
        (uniform, reverse), (conventional, rebalancing) = batch.views, batch.labels
        branches, alpha = self.network.embedder, self.alpha
        logits = self.network.head(mixed_feature(branches(uniform, 0), branches(reverse, 1), alpha))
        right = alpha * accuracy(logits, conventional) + (1 - alpha) * accuracy(logits, rebalancing)
        return {"loss": bbn(logits, conventional, rebalancing, alpha), "alpha": alpha, "accuracy": right}
