"""RSG: maps of rare classes are moved as those of head classes vary (Wang et al., CVPR 2021; Jianf-Wang/RSG).

A module beside the backbone learns centres of the classes among the maps before the last stage. When the learning rate
has fallen, it lends rare maps the displacements of head maps from their centres. The last stage and the classifier
learn from both, by LDAM with deferred re-weighting; at test time the module is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy, ldam
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.losses.rare_samples import center_estimation, maximized_vector, sample_contrast
from longtail.methods.recognition.reweighting import LDAM, require_beta
from longtail.models.counted_batchnorm import CountedBatchNorm2d
from longtail.models.rare_samples import RareSampleGenerator, changed_output, pairs
from longtail.models.residual import stages_of

IGNORED = -100
"""The label that cross-entropy leaves out."""


class RSG(LDAM):
    """LDAM, while the module learns centres and which maps are of one class."""

    @dataclass(frozen=True)
    class Settings(LDAM.Settings):
        """Hyperparameters of RSG, besides those of LDAM.

        Attributes:
            head_share: of the classes, the largest of which are head classes; rounded down.
            centers: n, of each class.
            contrast_width: channels within what judges pairs of maps.
            center_weight: of the CESC loss.
        """

        head_share: float
        centers: int
        contrast_width: int
        center_weight: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.centers >= 1, "centers", self.centers, "at least 1")
            require(self.contrast_width >= 1, "contrast_width", self.contrast_width, "at least 1")
            require(self.center_weight >= 0, "center_weight", self.center_weight, "at least 0")

    idle: ClassVar[str] = "transformation"
    """The part of the module that does not learn."""

    is_head: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        heads = int(context.classes * settings.head_share)
        means = f"such that of {context.classes} classes some are head classes and some are not"
        require(0 < heads < context.classes, "head_share", settings.head_share, means)
        largest = self.class_sizes.argsort(descending=True, stable=True)[:heads]
        self.register_buffer("is_head", torch.zeros(context.classes, dtype=torch.bool).index_fill(0, largest, True))
        channels = next(m for m in self.last_stage.modules() if isinstance(m, nn.Conv2d)).in_channels
        self.generator = RareSampleGenerator(context.classes, channels, settings.centers, settings.contrast_width)
        self.generator.get_submodule(self.idle).requires_grad_(False)

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A new one, whose batch normalisation can leave out maps."""
        return context.new_backbone(norm=CountedBatchNorm2d)

    @property
    def last_stage(self) -> nn.Module:
        """The stage of the backbone before which the module stands."""
        return stages_of(self.network.embedder)[-1]

    @property
    def stage_before(self) -> nn.Module:
        """The stage whose maps the module sees."""
        return stages_of(self.network.embedder)[-2]

    def centers_loss(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Of the maps, (B, C, H, W), without gradient for them: where centres are to be."""
        return center_estimation(maps, self.generator.centers[labels], self.generator.assignments(maps, labels))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the CESC loss ``centers`` in it, and ``accuracy`` of the batch in percent."""
        labels, parts = batch.labels[0], {}

        def learn(maps: Tensor) -> Tensor:
            seen, half = maps.detach(), len(labels) // 2
            one, other = slice(half), slice(half, 2 * half)  # halves of the batch, as they come; an odd image has none
            judged = sample_contrast(self.generator.scores(seen[one], seen[other]), labels[one], labels[other])
            parts["centers"] = self.centers_loss(seen, labels) + judged
            return maps

        with changed_output(self.stage_before, learn):
            _, logits = self.network(batch.views[0])
        loss = self.criterion(logits, labels) + self.settings.center_weight * parts["centers"]
        return {"loss": loss, **parts, "accuracy": accuracy(logits, labels)}


class GeneratingRSG(RSG):
    """Re-weighted LDAM of images and of maps that the module generates."""

    @dataclass(frozen=True)
    class Settings(RSG.Settings):
        """Hyperparameters, besides those of RSG.

        Attributes:
            beta: of the effective numbers that classes weigh by.
            vector_weight: of the MV loss.
        """

        beta: float
        vector_weight: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require_beta(self.beta)
            require(self.vector_weight >= 0, "vector_weight", self.vector_weight, "at least 0")

    idle: ClassVar[str] = "contrast"

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE_w(s - Delta_y e_y, y)."""
        return ldam(logits, labels, self.margins(), class_balanced_weights(self.class_sizes, self.settings.beta))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the losses ``centers`` and ``vectors`` in it, and ``accuracy`` of the images in percent."""
        labels, parts = batch.labels[0], {}
        heads, rare, counted = pairs(self.is_head[labels])
        everything = torch.cat([torch.ones_like(counted), counted])
        for layer in self.last_stage.modules():
            if isinstance(layer, CountedBatchNorm2d):
                layer.counted = everything

        def generate(maps: Tensor) -> Tensor:
            seen = maps.detach()
            displacements = self.generator.displacements(seen, labels)
            moves = self.generator.transformation(displacements[heads])
            scores = self.generator.scores(seen[heads], moves)
            parts["centers"] = self.centers_loss(seen, labels)
            parts["vectors"] = maximized_vector(moves, displacements[heads], displacements[rare], scores, counted)
            return torch.cat([maps, (seen[rare] + moves).to(maps.dtype)])

        with changed_output(self.stage_before, generate):
            _, logits = self.network(batch.views[0])
        known = torch.cat([labels, labels[rare].masked_fill(~counted, IGNORED)])
        module = self.settings.center_weight * parts["centers"] + self.settings.vector_weight * parts["vectors"]
        loss = self.criterion(logits, known) + module
        return {"loss": loss, **parts, "accuracy": accuracy(logits[: len(labels)], labels)}
