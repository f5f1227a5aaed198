"""Supervised contrastive learning, first stage (Khosla et al., NeurIPS 2020; HobbitLong/SupContrast)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.contrastive import supcon
from longtail.models.chain import Chain
from longtail.models.mlp import plain_projector


class SupCon(Objective):
    """Images of one class attract each other, in two views that pass the network together."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of supervised contrast.

        Attributes:
            temperature: tau.
            base_temperature: the loss is multiplied by tau over this: a factor on the learning rate, no more.
            projection_width: outputs of the head.
        """

        temperature: float
        base_temperature: float
        projection_width: int

        def __post_init__(self) -> None:
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.base_temperature > 0, "base_temperature", self.base_temperature, "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")

    features: ClassVar[tuple[str, ...]] = ("backbone", "projection")
    supervised: ClassVar[bool] = True

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        backbone: Any = context.new_backbone()
        self.backbone = backbone
        self.projector = plain_projector(backbone.width, settings.projection_width)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L^sup_out of both views, scaled by the temperatures; the batch statistics are of both together."""
        a, b = self.projector(self.backbone(torch.cat(batch.views))).chunk(2)
        loss = supcon(a, b, batch.labels[0], self.settings.temperature)
        return {"loss": loss * (self.settings.temperature / self.settings.base_temperature)}

    def encoder(self, features: str) -> nn.Module:
        """``backbone``: h; ``projection``: the head's output, not normalised."""
        match features:
            case "backbone":
                return self.backbone
            case "projection":
                return Chain(self.backbone, self.projector, width=self.settings.projection_width)
        raise unknown("features of SupCon", features, self.features)
