"""PaCo: parametric contrastive learning (Cui et al., ICCV 2021; dvlab-research/Parametric-Contrastive-Learning)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.parametric_contrast import paco
from longtail.methods.recognition.momentum_contrast import ClassifiedPairs, Pairs
from longtail.models.freezing import freeze_convolutions
from longtail.models.mlp import projector


class PaCo(ClassifiedPairs):
    """Queries against the logits of their classes, each other, keys and the queue; no second stage is needed.

    Attributes:
        classifier: of the backbone's feature; its logits, with log pi, are the centres.
    """

    @dataclass(frozen=True)
    class Settings(ClassifiedPairs.Settings):
        """Hyperparameters of PaCo.

        Attributes:
            alpha: weight of a positive that is no centre; not one of losses.
            divided: whether the loss of an anchor is divided by the weights of its positives.
            frozen_parts: of a pre-trained backbone what does not learn: nothing, or all convolutions but those of the
                last block (Places-LT).
            projector_init: how the last layer of the head starts. On CIFAR it is one of the network's own, which start
                from a normal; on large images one of torchvision's.
        """

        alpha: float
        divided: bool
        frozen_parts: Literal["convolutions_but_last_block", None] = field(default=None, kw_only=True)
        projector_init: Literal["kaiming", "default"] = field(default="kaiming", kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(self.alpha >= 0, "alpha", self.alpha, "at least 0")

    def networks(self, context: Context, parent: Objective | None) -> tuple[Any, nn.Module]:
        """New ones, or a backbone most of which stays as it comes."""
        backbone, head = super().networks(context, parent)
        if self.settings.frozen_parts:
            freeze_convolutions(backbone)
        return backbone, head

    def new_projector(self, width: int) -> nn.Module:
        """As wide as the feature within, normalised there."""
        head = projector(width, width, self.settings.projection_width, self.settings.batch_groups)
        last: Any = head[-1]
        if self.settings.projector_init == "kaiming":
            nn.init.kaiming_normal_(last.weight)
        return head

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_paco; ``accuracy`` of the queries' logits in percent."""
        p, s = pairs, self.settings
        logits = self.classifier(p.feature)
        contrasted = (p.query, p.key, p.labels, p.past, p.past_labels)
        loss = paco(*contrasted, logits, self.class_sizes, s.alpha, s.temperature, s.divided, s.batch_groups)
        return {"loss": loss, "accuracy": accuracy(logits, p.labels)}
