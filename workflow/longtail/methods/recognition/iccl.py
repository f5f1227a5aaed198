"""ICCL, first stage: centroid contrast, at first alone and then between images of two samplers.

Tiong et al., Improving Tail-Class Representation with Centroid Contrastive Learning, PRL 2023. No code was released;
salesforce/MoPro is the authors' nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.centroid_contrast import (
    batch_sum,
    centroid_contrast,
    image_by_image,
    shares,
)
from longtail.methods.losses.classification import accuracy, cross_entropy
from longtail.methods.losses.mixup import mixed_cross_entropy
from longtail.methods.losses.numerics import unit
from longtail.methods.mixing import beta_variate
from longtail.methods.recognition.classification import Classification
from longtail.models.centroids import Centroids
from longtail.models.chain import Chain
from longtail.models.headed import HeadedEncoder
from longtail.models.mlp import plain_projector

UPDATES = {"image_by_image": image_by_image, "batch_sum": batch_sum}


class ICCLWarmup(Classification):
    """Eq. 6 + L_cc: cross-entropy, and the contrast of embeddings z with the centroids.

    Attributes:
        projector: h to z.
        centroids: follow z, from one update to the next.
    """

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters, besides the classifier's.

        Attributes:
            temperature: tau.
            projection_width: d, dimensions of z.
            centroid_momentum: m.
            centroid_update: whether centroids follow image by image, or the sum over the batch as Eq. 1 has it.
            centroid_norm: whether they are scaled to length 1 after each update.
            contrast_weight: of L_cc here, of Eq. 5 in ICCL; 0 leaves it out (Table 4).
        """

        temperature: float
        projection_width: int
        centroid_momentum: float
        centroid_update: Literal["image_by_image", "batch_sum"]
        centroid_norm: bool
        contrast_weight: float

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")
            require(0 <= self.centroid_momentum < 1, "centroid_momentum", self.centroid_momentum, "at least 0, below 1")
            require(self.contrast_weight >= 0, "contrast_weight", self.contrast_weight, "at least 0")

    features: ClassVar[tuple[str, ...]] = ("backbone", "projection")
    continued: ClassVar[tuple[str, ...]] = ("centroids",)

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        backbone: Any = self.network.embedder
        self.projector = plain_projector(backbone.width, settings.projection_width)
        self.centroids = Centroids(context.classes, settings.projection_width, settings.temperature)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the ``contrast`` in it, and ``accuracy`` of the batch in percent."""
        h, logits = self.network(batch.views[0])
        z, y = unit(self.projector(h)), batch.labels[0]
        contrast = self.contrast(z, shares(y, y, 1.0, len(self.class_sizes)))
        self.follow(z, y)
        loss = cross_entropy(logits, y) + self.settings.contrast_weight * contrast
        return {"loss": loss, "contrast": contrast, "accuracy": accuracy(logits, y)}

    def contrast(self, z: Tensor, shares: Tensor) -> Tensor:
        """That of z, (B, d), with the centroids as they are."""
        return centroid_contrast(z, self.centroids.weight, shares, self.settings.temperature)

    @torch.no_grad()
    def follow(self, z: Tensor, labels: Tensor) -> None:
        """Move the centroids, after the loss: a step never sees its own images in them."""
        update = UPDATES[self.settings.centroid_update]
        moved = update(self.centroids.weight, z, labels, self.settings.centroid_momentum)
        # A new tensor, as the loss needs the old one for its gradient.
        self.centroids.weight = (unit(moved) if self.settings.centroid_norm else moved).to(self.centroids.weight.dtype)

    def encoder(self, features: str) -> nn.Module:
        """``backbone``: h, (B, d), and the logits; ``projection``: z before it is scaled, and its logits by Eq. 4."""
        if features != "projection":
            return super().encoder(features)
        projection = Chain(self.network.embedder, self.projector, width=self.settings.projection_width)
        return HeadedEncoder(projection, self.centroids)


class ICCL(ICCLWarmup):
    """Eq. 8: classification and contrast of images between a uniform sampler's, x^h, and a balanced one's, x^t."""

    @dataclass(frozen=True)
    class Settings(ICCLWarmup.Settings):
        """Hyperparameters, besides those of the warm-up.

        Attributes:
            interpolation: a and b of lambda ~ Beta(a, b), the share of x^h; (1, 1) is uniform.
            uniform_weight: omega_u, of Eq. 6. With 0 x^h still moves the centroids, without gradient.
            interpolated_weight: of Eq. 7; 0 leaves it out (Table 4).
        """

        interpolation: tuple[float, float]
        uniform_weight: float
        interpolated_weight: float

        def __post_init__(self) -> None:
            super().__post_init__()
            ab = self.interpolation
            require(len(ab) == 2 and min(ab) > 0, "interpolation", ab, "two numbers above 0")
            require(self.uniform_weight >= 0, "uniform_weight", self.uniform_weight, "at least 0")
            require(self.interpolated_weight >= 0, "interpolated_weight", self.interpolated_weight, "at least 0")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the ``interpolated`` classification and ``contrast`` in it, and ``accuracy`` of x^h in percent.

        Two passes, in this order, each normalised by its own statistics: x^h, then x^f = lambda x^h + (1 - lambda) x^t.
        """
        settings, (images, others), (y, other) = self.settings, batch.views, batch.labels
        a, b = settings.interpolation
        share = beta_variate(a, b, batch.generator)
        with torch.set_grad_enabled(settings.uniform_weight > 0):
            h, logits = self.network(images)
        with torch.no_grad():
            z = unit(self.projector(h))
        mixed, mixed_logits = self.network(share * images + (1 - share) * others)
        of_class = shares(y, other, share, len(self.class_sizes))
        interpolated = mixed_cross_entropy(mixed_logits, y, other, share)
        contrast = self.contrast(unit(self.projector(mixed)), of_class)
        self.follow(z, y)
        loss = settings.interpolated_weight * interpolated + settings.contrast_weight * contrast
        if settings.uniform_weight > 0:
            loss = loss + settings.uniform_weight * cross_entropy(logits, y)
        return {"loss": loss, "interpolated": interpolated, "contrast": contrast, "accuracy": accuracy(logits, y)}
