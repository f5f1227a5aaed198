"""The classifier on a backbone that contrast has trained, by a class-balanced loss (TSC, CVPR 2022; GloCo, Sec. 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from longtail.methods.base import Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import cross_entropy, ldam, ldam_margins
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.recognition.reweighting import require_beta
from longtail.methods.recognition.two_stage import SecondStage
from longtail.models.classifiers import Cosine, Linear


class LinearStage(SecondStage):
    """LDAM of a cosine classifier or cross-entropy of a linear one; classes weigh by their effective numbers."""

    @dataclass(frozen=True)
    class Settings(SecondStage.Settings):
        """What is trained on the frozen backbone.

        Attributes:
            criterion: ``ldam``, with a cosine classifier, or ``ce``, with a linear one.
            beta: of the effective number of images, (1 - beta^n) / (1 - beta).
            classifier_init: of the linear classifier, see :class:`~longtail.models.classifiers.Linear`.
            scale: of the cosine classifier, s.
            largest_margin: of LDAM, that of the smallest class, in units of the cosine.
        """

        criterion: Literal["ldam", "ce"]
        beta: float
        classifier_init: Literal["default", "kaiming"]
        scale: float
        largest_margin: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require_beta(self.beta)
            require(self.scale > 0, "scale", self.scale, "above 0")
            require(self.largest_margin >= 0, "largest_margin", self.largest_margin, "at least 0")

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """A new one: a cosine classifier for LDAM, else a linear one."""
        if self.settings.criterion == "ldam":
            return Cosine(width, classes, self.settings.scale)
        return Linear(width, classes, self.settings.classifier_init)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE_w(s - Delta_y e_y, y), or CE_w(s, y)."""
        weights = class_balanced_weights(self.class_sizes, self.settings.beta)
        if self.settings.criterion == "ce":
            return cross_entropy(logits, labels, weights)
        margins = self.settings.scale * ldam_margins(self.class_sizes, self.settings.largest_margin)
        return ldam(logits, labels, margins, weights)
