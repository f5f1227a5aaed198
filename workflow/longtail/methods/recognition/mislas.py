"""MiSLAS, second stage (Zhong et al., Improving Calibration for Long-Tailed Recognition, CVPR 2021).

The first is Mixup. Follows dvlab-research/MiSLAS. What the paper calls shift learning on batch normalisation, whose
statistics move on while nothing else of the backbone does, is ``frozen_bn: train``. On Places-LT only those of the last
block do, the one that the first stage has trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from torch import Tensor, nn

from longtail.methods.base import Objective
from longtail.methods.checks import require
from longtail.methods.losses.smoothing import Spread, label_aware_smoothing, smoothing_factors
from longtail.methods.recognition.two_stage import SecondStage
from longtail.models.classifiers import Scaled
from longtail.models.freezing import keep_statistics


class LabelAwareSmoothing(SecondStage):
    """The trained classifier goes on learning, slowly, and with it scales of its logits; targets are smoothed."""

    @dataclass(frozen=True)
    class Settings(SecondStage.Settings):
        """Hyperparameters, besides the mode of the backbone.

        Attributes:
            smoothing_head: epsilon of the largest class.
            smoothing_tail: epsilon of the smallest.
            spread: over which classes epsilon is spread, see :func:`label_aware_smoothing`.
            classifier_learning_rate_scale: the learning rate of weights and biases, in units of that of the scales.
            frozen_parts: of the backbone, what the first stage left as it was: its statistics stay in this one, too.
        """

        smoothing_head: float
        smoothing_tail: float
        spread: Spread
        classifier_learning_rate_scale: float
        frozen_parts: Literal["all_but_last_block", None] = field(default=None, kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            for name in ("smoothing_head", "smoothing_tail"):
                require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "between 0 and 1")
            factor = self.classifier_learning_rate_scale
            require(factor >= 0, "classifier_learning_rate_scale", factor, "at least 0")

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """That of the first stage, with scales of 1."""
        return Scaled(self.trained_classifier(parent))

    def train(self, mode: bool = True) -> Self:
        """Train mode for the classifier, and as far as the settings say for the backbone."""
        super().train(mode)
        if self.settings.frozen_parts:
            keep_statistics(self.network.embedder)
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The classifier at its own pace, the scales at the scheduled one; weight decay pulls both towards 0."""
        head: Any = self.network.head
        slow = self.settings.classifier_learning_rate_scale
        return [
            {"params": list(head.classifier.parameters()), "learning_rate_scale": slow},
            {"params": [head.scales], "learning_rate_scale": 1.0},
        ]

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """L_LAS(s, y)."""
        s = self.settings
        factors = smoothing_factors(self.class_sizes, s.smoothing_head, s.smoothing_tail)
        return label_aware_smoothing(logits, labels, factors, s.spread)
