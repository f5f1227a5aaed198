"""MiniClustering on texts (Li, Jia, Chen, Liu, Hou, ICLR 2026, App. J; no code is released).

The losses are those for images. What differs is what stands before them: the backbone is a sentence encoder that comes
pre-trained, so the recipe has no pre-training step and nothing to transfer from.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from longtail.errors import unknown
from longtail.methods.base import Context, Objective, Start
from longtail.methods.clustering.miniclustering import MiniClustering


class Pretrained(Objective):
    """The backbone as it comes; there is nothing to train."""

    features: ClassVar[tuple[str, ...]] = ("backbone",)

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.backbone = context.new_backbone()

    def encoder(self, features: str) -> nn.Module:
        """``backbone``: (B, L) to (B, d)."""
        if features not in self.features:
            raise unknown("feature of a pre-trained backbone", features, self.features)
        return self.backbone


class TextMiniClustering(MiniClustering):
    """MiniClustering whose encoder is the pre-trained backbone itself; views are tokens, (B, L) int64."""

    starts: ClassVar[Start] = "fresh"

    def __init__(self, settings: MiniClustering.Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, Pretrained(Objective.Settings(), context))
