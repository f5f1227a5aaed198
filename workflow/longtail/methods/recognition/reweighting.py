"""Cross-entropy and LDAM, with and without the weights of deferred re-weighting (Cao et al., NeurIPS 2019).

Re-weighting is deferred (DRW) by the recipe: the objective without weights, then on the same clock the one with them.
Follows kaidic/LDAM-DRW.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from longtail.methods.base import Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import cross_entropy, ldam, ldam_margins
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.recognition.classification import Classification
from longtail.models.classifiers import Cosine


def require_beta(beta: float) -> None:
    """Raise a LongtailError unless ``beta`` makes weights of classes."""
    require(0 <= beta < 1, "beta", beta, "at least 0 and below 1")


class CrossEntropy(Classification):
    """Cross-entropy, every image alike."""

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s, y)."""
        return cross_entropy(logits, labels)


class ReweightedCrossEntropy(Classification):
    """Cross-entropy in which classes weigh by their effective numbers (Cui et al., CVPR 2019)."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """``beta``: of the effective number of images, (1 - beta^n) / (1 - beta)."""

        beta: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require_beta(self.beta)

    def weights(self) -> Tensor:
        """W of the classes, (K,) float64, of mean 1."""
        return class_balanced_weights(self.class_sizes, self.settings.beta)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE_w(s, y)."""
        return cross_entropy(logits, labels, self.weights())


class LDAM(Classification):
    """The label-distribution-aware margin loss, on a cosine classifier."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of LDAM.

        Attributes:
            scale: s, by which cosines and margins are multiplied.
            largest_margin: that of the smallest class, in units of the cosine.
        """

        scale: float
        largest_margin: float

        def __post_init__(self) -> None:
            require(self.scale > 0, "scale", self.scale, "above 0")
            require(self.largest_margin >= 0, "largest_margin", self.largest_margin, "at least 0")

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """A cosine classifier."""
        return Cosine(width, classes, self.settings.scale)

    def margins(self) -> Tensor:
        """Those of the logits, (K,) float64."""
        return self.settings.scale * ldam_margins(self.class_sizes, self.settings.largest_margin)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s - Delta_y e_y, y)."""
        return ldam(logits, labels, self.margins())


class ReweightedLDAM(LDAM):
    """LDAM in which classes weigh by their effective numbers."""

    @dataclass(frozen=True)
    class Settings(LDAM.Settings):
        """``beta``: as that of :class:`ReweightedCrossEntropy`."""

        beta: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require_beta(self.beta)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE_w(s - Delta_y e_y, y)."""
        return ldam(logits, labels, self.margins(), class_balanced_weights(self.class_sizes, self.settings.beta))
