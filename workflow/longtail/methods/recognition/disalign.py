"""DisAlign (Zhang et al., Distribution Alignment, CVPR 2021): the logits of a trained classifier are aligned anew.

Follows Megvii-BaseDetection/DisAlign and cvpods, which trains it on ImageNet-LT.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from longtail.methods.base import Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.long_tailed import generalized_weights
from longtail.methods.recognition.two_stage import SecondStage
from longtail.models.classifiers import Aligned


class DisAlign(SecondStage):
    """Scales and shifts of the logits learn, and how much of them each image gets; the classifier stays."""

    @dataclass(frozen=True)
    class Settings(SecondStage.Settings):
        """Hyperparameters, besides the mode of the backbone.

        Attributes:
            scale_init: where the scales start, see :class:`~longtail.models.classifiers.Aligned`.
            rho: how much more small classes weigh, see :func:`generalized_weights`.
        """

        scale_init: float
        rho: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.rho >= 0, "rho", self.rho, "at least 0")

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """That of the first stage, frozen, behind which logits are aligned."""
        return Aligned(self.trained_classifier(parent).requires_grad_(False), self.settings.scale_init)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE_w(z, y) with w_k in proportion to pi_k^(-rho)."""
        return cross_entropy(logits, labels, generalized_weights(self.class_sizes, self.settings.rho))
