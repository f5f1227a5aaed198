"""The focal loss (Lin et al., ICCV 2017) and the class-balanced losses of Cui et al. (CVPR 2019).

The focal loss alone is that of kaidic/LDAM-DRW; the class-balanced ones follow richardaecn/class-balanced-loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from longtail.methods.base import Objective
from longtail.methods.checks import require
from longtail.methods.losses.focal import focal, sigmoid_focal
from longtail.methods.recognition.classification import Classification
from longtail.methods.recognition.reweighting import ReweightedCrossEntropy


def require_gamma(gamma: float) -> None:
    """Raise a LongtailError unless ``gamma`` makes sure answers count less."""
    require(gamma >= 0, "gamma", gamma, "at least 0")


class Focal(Classification):
    """The focal loss of the softmax, every class alike."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """``gamma``: 0 is cross-entropy."""

        gamma: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require_gamma(self.gamma)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """-(1 - p_y)^gamma log p_y."""
        return focal(logits, labels, self.settings.gamma)


class ClassBalancedCrossEntropy(ReweightedCrossEntropy):
    """CB-CE: cross-entropy times the weight of the class, divided by the number of images and not by their weights."""

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """1/B sum_i w_y CE(s, y): the focal loss that treats sure and unsure answers alike."""
        return focal(logits, labels, 0.0, self.weights())


class ClassBalancedFocal(ClassBalancedCrossEntropy):
    """CB-Focal: K answers yes or no, which at first all say with probability 1 / K that it is the class."""

    @dataclass(frozen=True)
    class Settings(ClassBalancedCrossEntropy.Settings):
        """``gamma``: 0 is the class-balanced sigmoid loss."""

        gamma: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require_gamma(self.gamma)

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """Linear, with biases of -log(K - 1)."""
        classifier: Any = super().new_classifier(width, classes, parent)
        nn.init.constant_(classifier.bias, -math.log(classes - 1))
        return classifier

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The biases of the classifier do not decay."""
        bias = self.network.head.bias
        others = [p for p in self.parameters() if p is not bias]
        return [
            {"params": others, "learning_rate_scale": 1.0},
            {"params": [bias], "learning_rate_scale": 1.0, "weight_decay": 0.0},
        ]

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """1/B sum_i -w_y sum_k (1 - p_k)^gamma log p_k."""
        return sigmoid_focal(logits, labels, self.settings.gamma, self.weights())
