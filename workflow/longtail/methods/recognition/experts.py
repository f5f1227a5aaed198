"""RIDE: several experts on a common trunk (Wang et al., ICLR 2021; frank-xwang/RIDE-LongTailRecognition).

Here all experts see all images, and their mean predicts. ``routing`` has the stage after that, which routes images to
as many experts as they need, and ``distillation`` a student that learns from more experts than it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.experts import (
    divergence_by_class,
    divergence_by_image,
    ride,
    temperatures_of_classes,
    temperatures_of_images,
)
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
    """LDAM for every expert, and a reward for being unlike the others."""

    @dataclass(frozen=True)
    class Settings(LDAM.Settings):
        """Hyperparameters of RIDE, besides those of LDAM.

        Attributes:
            experts: n.
            diversity: lambda, the factor on the divergence of the experts; below 0 they are driven apart.
            divergence: from what: ``from_mean`` of them, as in the code, or ``of_pairs``, as in the paper.
        """

        experts: int
        diversity: float
        divergence: Literal["from_mean", "of_pairs"]

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(self.experts >= 1, "experts", self.experts, "at least 1")

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A trunk with experts."""
        return context.new_backbone(experts=self.settings.experts)

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """A cosine classifier per expert."""
        return ExpertClassifiers(self.settings.experts, width, classes, self.settings.scale)

    def divergence(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of the experts' logits, (n, B, K): all temperatures are 1 until classes are weighted."""
        return divergence_by_class(logits, torch.ones_like(self.class_sizes), self.settings.divergence)

    def weights(self) -> Tensor | None:
        """Those of classes in LDAM, (K,): none yet."""
        return None

    def each(self, images: Tensor) -> Tensor:
        """The logits of the experts, (n, B, K)."""
        head: Any = self.network.head
        return head.each(self.network.embedder(images))

    def experts_loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``loss``, and the ``divergence`` in it, of the experts' logits, (n, B, K)."""
        divergence = self.divergence(logits, labels)
        loss = ride(logits, labels, self.margins(), self.settings.diversity, divergence, self.weights())
        return {"loss": loss, "divergence": divergence}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the ``divergence`` in it, and ``accuracy`` of the experts' mean in percent."""
        logits, labels = self.each(batch.views[0]), batch.labels[0]
        return {**self.experts_loss(logits, labels), "accuracy": accuracy(logits.mean(0), labels)}


class ReweightedRIDE(RIDE):
    """RIDE in which classes weigh by their effective numbers, and have temperatures by their sizes."""

    @dataclass(frozen=True)
    class Settings(RIDE.Settings):
        """Hyperparameters, besides those of RIDE.

        Attributes:
            beta: of the effective numbers.
            temperature_spread: eta, how far temperatures follow the sizes of classes.
            temperatures: what has one of its own. In ``classes`` each class has, for its logit in all images, as in the
                code; in ``images`` each image has that of its class, for all its logits, as in the paper.
        """

        beta: float
        temperature_spread: float
        temperatures: Literal["classes", "images"]

        def __post_init__(self) -> None:
            super().__post_init__()
            require_beta(self.beta)
            eta = self.temperature_spread
            require(0 <= eta < 1, "temperature_spread", eta, "at least 0 and below 1")

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        positive = bool((self.temperatures() > 0).all())
        require(positive, "temperature_spread", settings.temperature_spread, "so small that temperatures are above 0")

    def temperatures(self) -> Tensor:
        """Those of each class, or of its images, (K,) float64: lower for rare ones."""
        by_class = self.settings.temperatures == "classes"
        temperatures = temperatures_of_classes if by_class else temperatures_of_images
        return temperatures(self.class_sizes, self.settings.temperature_spread)

    def divergence(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of the experts' logits, (n, B, K), with these temperatures."""
        if self.settings.temperatures == "classes":
            return divergence_by_class(logits, self.temperatures(), self.settings.divergence)
        return divergence_by_image(logits, labels, self.temperatures(), self.settings.divergence)

    def weights(self) -> Tensor | None:
        """Those of LDAM with re-weighting, (K,) float64."""
        return class_balanced_weights(self.class_sizes, self.settings.beta)
