"""RIDE: several experts on a common trunk (Wang et al., ICLR 2021; frank-xwang/RIDE-LongTailRecognition).

Without the second stage, which routes images to as many experts as they need, and without distillation: all experts
see all images, and their mean predicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.experts import diversity_temperatures, ride
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.recognition.reweighting import LDAM, require_beta
from longtail.models.classifiers import Cosine


class ExpertClassifiers(nn.Module):
    """A cosine classifier for each expert's part of the feature; their mean is the logits.

    Args:
        experts: n.
        width: of all experts together, n d.
        classes: K.
        scale: of the cosines.
    """

    bias = None

    def __init__(self, experts: int, width: int, classes: int, scale: float) -> None:
        super().__init__()
        self.classifiers: Any = nn.ModuleList(Cosine(width // experts, classes, scale) for _ in range(experts))

    @property
    def weight(self) -> Tensor:
        """Those of the experts beside each other, (K, n d)."""
        return torch.cat([classifier.weight for classifier in self.classifiers], dim=1)

    def each(self, h: Tensor) -> Tensor:
        """(B, n d) to (n, B, K)."""
        parts = h.chunk(len(self.classifiers), dim=1)
        return torch.stack([classifier(part) for classifier, part in zip(self.classifiers, parts, strict=True)])

    def forward(self, h: Tensor) -> Tensor:
        """(B, n d) to (B, K)."""
        return self.each(h).mean(0)


class RIDE(LDAM):
    """LDAM for every expert, and a reward for being unlike their mean."""

    @dataclass(frozen=True)
    class Settings(LDAM.Settings):
        """Hyperparameters of RIDE, besides those of LDAM.

        Attributes:
            experts: n.
            diversity: lambda, the factor on the divergence of the experts from their mean; below 0 they are driven
                apart.
        """

        experts: int
        diversity: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.experts >= 1, "experts", self.experts, "at least 1")

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A trunk with experts."""
        return context.new_backbone(experts=self.settings.experts)

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """A cosine classifier per expert."""
        return ExpertClassifiers(self.settings.experts, width, classes, self.settings.scale)

    def temperatures(self) -> Tensor:
        """Those of the divergence, (K,): all 1 until classes are weighted."""
        return torch.ones_like(self.class_sizes)

    def weights(self) -> Tensor | None:
        """Those of classes in LDAM, (K,): none yet."""
        return None

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the ``divergence`` in it, and ``accuracy`` of the experts' mean in percent."""
        head: Any = self.network.head
        logits = head.each(self.network.embedder(batch.views[0]))
        labels = batch.labels[0]
        loss, divergence = ride(
            logits, labels, self.margins(), self.settings.diversity, self.temperatures(), self.weights()
        )
        return {"loss": loss, "divergence": divergence, "accuracy": accuracy(logits.mean(0), labels)}


class ReweightedRIDE(RIDE):
    """RIDE in which classes weigh by their effective numbers, and have temperatures by their sizes."""

    @dataclass(frozen=True)
    class Settings(RIDE.Settings):
        """Hyperparameters, besides those of RIDE.

        Attributes:
            beta: of the effective numbers.
            temperature_spread: eta, how far temperatures of classes follow their sizes.
        """

        beta: float
        temperature_spread: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require_beta(self.beta)
            eta = self.temperature_spread
            require(0 <= eta < 1, "temperature_spread", eta, "at least 0 and below 1")

    def temperatures(self) -> Tensor:
        """Lower for rare classes, (K,) float64."""
        return diversity_temperatures(self.class_sizes, self.settings.temperature_spread)

    def weights(self) -> Tensor | None:
        """Those of LDAM with re-weighting, (K,) float64."""
        return class_balanced_weights(self.class_sizes, self.settings.beta)
