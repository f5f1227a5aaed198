"""BCL: balanced contrastive learning (Zhu et al., CVPR 2022; FlamieZhu/Balanced-Contrastive-Learning)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy, logit_adjusted
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.parametric_contrast import balanced_contrast
from longtail.methods.recognition.classification import Classification
from longtail.models.classifiers import Cosine
from longtail.models.mlp import projector


class BCL(Classification):
    """Logit-adjusted loss of one view, balanced contrast of two others; prototypes come from the classifier's weights.

    Attributes:
        projector: feature to embedding.
        prototype_projector: weight of a class to its prototype.
    """

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of BCL.

        Attributes:
            alpha: weight of the logit-adjusted loss.
            beta: weight of contrast.
            temperature: tau of contrast.
            scale: of the cosine classifier.
            hidden_width: within both heads.
            projection_width: outputs of both.
        """

        alpha: float
        beta: float
        temperature: float
        scale: float
        hidden_width: int
        projection_width: int

        def __post_init__(self) -> None:
            for name in ("temperature", "scale"):
                require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
            for name in ("alpha", "beta"):
                require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
            for name in ("hidden_width", "projection_width"):
                require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        backbone: Any = self.network.embedder  # as wide as the weight of a class
        self.projector, self.prototype_projector = (
            projector(backbone.width, settings.hidden_width, settings.projection_width) for _ in range(2)
        )

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """A cosine classifier, which multiplies by the scale: the loss does not do so again."""
        return Cosine(width, classes, self.settings.scale)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s + log pi, y)."""
        return logit_adjusted(logits, labels, self.class_sizes)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: alpha CE(s + log pi, y) of view 1 + beta L_BCL of views 2 and 3; the parts; ``accuracy``.

        All three views pass backbone and projector together, and share their batch statistics.
        """
        s, labels, count = self.settings, batch.labels[0], len(batch.views[0])
        feature = self.network.embedder(torch.cat(batch.views))
        logits = self.network.head(feature[:count])
        _, a, b = unit(self.projector(feature)).chunk(3)
        prototypes = unit(self.prototype_projector(self.network.head.weight))
        adjusted, contrast = self.criterion(logits, labels), balanced_contrast(a, b, prototypes, labels, s.temperature)
        parts = {"adjusted": adjusted, "contrast": contrast, "accuracy": accuracy(logits, labels)}
        return {"loss": s.alpha * adjusted + s.beta * contrast, **parts}
