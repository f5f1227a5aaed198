"""Mixup (Zhang et al., ICLR 2018) and Manifold Mixup (Verma et al., ICML 2019): classifiers of images mixed in pairs.

Follow facebookresearch/mixup-cifar10 and vikasverma1077/manifold_mixup.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.mixup import mixed_binary_cross_entropy, mixed_cross_entropy
from longtail.methods.mixing import draw_mixture, interpolate, interpolated_at_a_depth
from longtail.methods.recognition.classification import Classification
from longtail.models.freezing import keep_statistics, replace_last_block


class Mixup(Classification):
    """Cross-entropy of mixed images, one lambda and one permutation pi per batch."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters of Mixup.

        Attributes:
            alpha: of lambda ~ Beta(alpha, alpha).
            frozen_parts: of a pre-trained backbone what does not learn, statistics of batch normalisation included:
                nothing, or all but the last block, which starts anew (MiSLAS on Places-LT).
        """

        alpha: float
        frozen_parts: Literal["all_but_last_block", None] = field(default=None, kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.alpha > 0, "alpha", self.alpha, "above 0")

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A new one, or one of which the last block alone is new."""
        backbone = super().new_backbone(context, parent)
        if self.settings.frozen_parts:
            replace_last_block(backbone)
        return backbone

    def train(self, mode: bool = True) -> Self:
        """Train mode for what learns."""
        super().train(mode)
        if self.settings.frozen_parts:
            keep_statistics(self.network.embedder)
        return self

    def mixed_logits(self, images: Tensor, lam: Tensor, permutation: Tensor, generator: torch.Generator) -> Tensor:
        """Those of lambda x_i + (1 - lambda) x_pi(i), (B, K)."""
        return self.network(interpolate(images, lam, permutation))[1]

    def mixed_criterion(self, logits: Tensor, labels: Tensor, partners: Tensor, lam: Tensor) -> Tensor:
        """Lambda CE(s, y) + (1 - lambda) CE(s, y')."""
        return mixed_cross_entropy(logits, labels, partners, lam)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: the criterion; ``accuracy`` for y, times lambda, and for y', times 1 - lambda, in percent."""
        labels = batch.labels[0]
        lam, permutation = draw_mixture(len(labels), self.settings.alpha, batch.generator)
        logits = self.mixed_logits(batch.views[0], lam, permutation, batch.generator)
        partners = labels[permutation]
        return {
            "loss": self.mixed_criterion(logits, labels, partners, lam),
            "accuracy": lam * accuracy(logits, labels) + (1 - lam) * accuracy(logits, partners),
        }


class ManifoldMixup(Mixup):
    """The same with features mixed at one of three depths, drawn per batch: images, after the first or second stage."""

    @dataclass(frozen=True)
    class Settings(Mixup.Settings):
        """``mixed_loss``: ``cross_entropy``, or ``binary``, the entropies of K answers that the official code takes."""

        mixed_loss: Literal["cross_entropy", "binary"]

    def mixed_logits(self, images: Tensor, lam: Tensor, permutation: Tensor, generator: torch.Generator) -> Tensor:
        """Those of the images, mixed on their way, (B, K)."""
        with interpolated_at_a_depth(self.network.embedder, lam, permutation, generator) as mixed:
            return self.network(mixed(images))[1]

    def mixed_criterion(self, logits: Tensor, labels: Tensor, partners: Tensor, lam: Tensor) -> Tensor:
        """Of the mixed classes, as the settings say."""
        binary = self.settings.mixed_loss == "binary"
        return (mixed_binary_cross_entropy if binary else mixed_cross_entropy)(logits, labels, partners, lam)
