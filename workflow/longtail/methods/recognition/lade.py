"""LADE: logits from which the class shares of the training images are disentangled (Hong et al., CVPR 2021).

Follows hyperconnect/LADE. Where all classes are as frequent in the test, logits are read out as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from longtail.methods.base import Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.lade import lade
from longtail.methods.recognition.classification import Classification
from longtail.models.branches import LastBlocks


class LADE(Classification):
    """Balanced Softmax, and a regulariser."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters, besides the classifier's.

        Attributes:
            alpha: weight of the regulariser.
            remine_lambda: lambda, weight of the squares in it.
            last_blocks: how many last residual blocks stand beside each other. On CIFAR the code takes the network of
                BBN, with both of its branches.
            backbone_learning_rate_scale: factor on the learning rate of all but the classifier, where the backbone is
                pre-trained.
        """

        alpha: float
        remine_lambda: float
        last_blocks: int
        backbone_learning_rate_scale: float = field(default=1.0, kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.alpha >= 0, "alpha", self.alpha, "at least 0")
            require(self.remine_lambda >= 0, "remine_lambda", self.remine_lambda, "at least 0")
            require(self.last_blocks >= 1, "last_blocks", self.last_blocks, "at least 1")
            scale = self.backbone_learning_rate_scale
            require(scale > 0, "backbone_learning_rate_scale", scale, "above 0")

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A new one, with these last blocks."""
        return LastBlocks([context.new_backbone() for _ in range(self.settings.last_blocks)])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group, or one for the backbone and one for the classifier where they learn at different rates."""
        scale = self.settings.backbone_learning_rate_scale
        if scale == 1:
            return super().parameter_groups()
        parts = ((self.network.embedder, scale), (self.network.head, 1.0))
        return [{"params": list(part.parameters()), "learning_rate_scale": factor} for part, factor in parts]

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s + log pi, y) + alpha R."""
        return lade(logits, labels, self.class_sizes, self.settings.alpha, self.settings.remine_lambda)
