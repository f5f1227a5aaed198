"""MoCo + BalSfx, the baseline of ResCom that has a momentum encoder (Zhong et al., arXiv 2022, Fig. 2b and Table 6).

Balanced Softmax trains the classifier on the first view. Its embedding is to find that of the second view, by the
momentum network, among the keys of a queue (MoCo, He et al., CVPR 2020); no label enters the contrast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from longtail.methods.base import Batch
from longtail.methods.checks import check_choices, require
from longtail.methods.clustering.moco import info_nce
from longtail.methods.losses.classification import accuracy, logit_adjusted
from longtail.methods.recognition.momentum_contrast import ClassifiedPairs, Pairs
from longtail.models.classifiers import Linear
from longtail.models.mlp import projector


class MoCoBalSfx(ClassifiedPairs):
    """A query network with a classifier, a key network that follows it, and the queue of the last keys."""

    @dataclass(frozen=True)
    class Settings(ClassifiedPairs.Settings):
        """Hyperparameters, besides those of pairs.

        Attributes:
            classifier_init: how the weights of the classifier start, see :class:`~longtail.models.classifiers.Linear`.
            contrast_weight: lambda.
        """

        classifier_init: Literal["default", "kaiming"]
        contrast_weight: float

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(self.contrast_weight >= 0, "contrast_weight", self.contrast_weight, "at least 0")

    def new_projector(self, width: int) -> nn.Module:
        """The head of ResCom."""
        return projector(width, width, self.settings.projection_width, self.settings.batch_groups)

    def new_classifier(self, width: int, classes: int) -> nn.Module:
        """Linear, starting as the settings say."""
        return Linear(width, classes, self.settings.classifier_init)

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``classification``: BalSfx of view 1; ``contrast``: InfoNCE of its embedding with view 2's key."""
        p, logits = pairs, self.classifier(pairs.feature)
        contrast = info_nce(p.query, p.key, p.past, self.settings.temperature)
        classification = logit_adjusted(logits, p.labels, self.class_sizes)
        return {
            "loss": classification + self.settings.contrast_weight * contrast,
            "classification": classification,
            "contrast": contrast,
            "accuracy": accuracy(logits, p.labels),
        }
