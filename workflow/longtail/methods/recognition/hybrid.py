"""Hybrid-PSC: contrast with learned prototypes, then a classifier, on one backbone (Wang et al., CVPR 2021).

No code was released. A step shows two images: one drawn uniformly to the contrast, one of a class-balanced sampler to
the classifier. Learning shifts from the former to the latter, epoch by epoch, as in BBN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy, cross_entropy
from longtail.methods.losses.hybrid import prototypical
from longtail.methods.recognition.bbn import Shifting
from longtail.methods.recognition.classification import Classification
from longtail.models.mlp import plain_projector


class HybridPSC(Shifting):
    """alpha L_PSC of the uniform image + (1 - alpha) CE(s, y) of the balanced one.

    Attributes:
        projector: feature to embedding.
        prototypes: one for each class, (K, d), a parameter.
    """

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters, besides the classifier's.

        Attributes:
            temperature: tau of the contrast.
            projection_width: d, dimensions of embeddings and prototypes.
        """

        temperature: float
        projection_width: int

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")

    prototypes: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        backbone: Any = self.network.embedder
        self.projector = plain_projector(backbone.width, settings.projection_width)
        self.prototypes = nn.Parameter(torch.randn(context.classes, settings.projection_width))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, ``contrast`` and ``classification`` in it, ``alpha``, and ``accuracy`` of the balanced image.

        Both images pass the backbone together, and share their batch statistics.
        """
        uniform, balanced = self.network.embedder(torch.cat(batch.views)).chunk(2)
        of_uniform, of_balanced = batch.labels
        z, logits = self.projector(uniform), self.network.head(balanced)
        contrast = prototypical(z, self.prototypes, of_uniform, self.settings.temperature)
        classification = cross_entropy(logits, of_balanced)
        alpha = self.alpha.to(contrast.dtype)
        return {
            "loss": alpha * contrast + (1 - alpha) * classification,
            "contrast": contrast,
            "classification": classification,
            "alpha": alpha,
            "accuracy": accuracy(logits, of_balanced),
        }
