"""What methods that contrast embeddings have in common: a backbone, and a head that makes embeddings of its feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from longtail.errors import unknown
from longtail.methods.base import Context, Objective
from longtail.methods.checks import require
from longtail.models.chain import Chain
from longtail.models.mlp import plain_projector


class Projected(Objective):
    """A backbone and a head behind it; the loss is up to the subclass.

    Attributes:
        backbone: images to the feature h, (B, width).
        projector: h to an embedding, (B, d), not normalised.
    """

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of contrast.

        Attributes:
            temperature: tau.
            projection_width: d, outputs of the head.
        """

        temperature: float
        projection_width: int

        def __post_init__(self) -> None:
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")

    features: ClassVar[tuple[str, ...]] = ("backbone", "projection")
    supervised: ClassVar[bool] = True

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        self.backbone, self.projector = self.networks(context, parent)

    def networks(self, context: Context, parent: Objective | None) -> tuple[Any, nn.Module]:
        """Backbone and head: new ones."""
        backbone: Any = context.new_backbone()
        return backbone, self.new_projector(backbone.width)

    def new_projector(self, width: int) -> nn.Module:
        """The head of (B, ``width``) features: two layers without normalisation, as MoCo v2 and SupCon."""
        return plain_projector(width, self.settings.projection_width)

    def encoder(self, features: str) -> nn.Module:
        """``backbone``: h; ``projection``: the head's output, not normalised."""
        match features:
            case "backbone":
                return self.backbone
            case "projection":
                return Chain(self.backbone, self.projector, width=self.settings.projection_width)
        raise unknown(f"features of {type(self).__name__}", features, self.features)
