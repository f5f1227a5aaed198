"""Pairs of networks for images with classes: queries against the keys of a network that follows, and a labelled queue.

MoCo's machinery (He et al., CVPR 2020), as KCL and TSC (LTH14/targeted-supcon), PaCo
(dvlab-research/Parametric-Contrastive-Learning) and GloCo have it: they differ in the loss of what one step gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.projected import Projected
from longtail.models.classifiers import Linear
from longtail.models.headed import HeadedEncoder
from longtail.models.momentum import follow, momentum_copy
from longtail.models.queue import LabelledQueue
from longtail.models.splitnorm import norm_of, unsplit


@dataclass(frozen=True)
class Pairs:
    """What a step contrasts; all but the queries' side without gradient.

    Attributes:
        feature: h of view 1, (B, width).
        query: q, its projections, (B, d) unit rows.
        key: k, those of view 2 by the network that follows, (B, d) unit rows.
        labels: y of both, (B,) int64.
        past: the queue before this step's keys enter, (Q, d) unit rows.
        past_labels: their classes, (Q,) int64; -1, which is no class, where no key was put in yet.
    """

    feature: Tensor
    query: Tensor
    key: Tensor
    labels: Tensor
    past: Tensor
    past_labels: Tensor


class MomentumContrast(Projected):
    """A query network, a key network that follows it, and the queue of the keys of the last steps with their classes.

    Attributes:
        backbone, projector: of the queries.
        key_backbone, key_projector: their copies, which no gradient reaches.
        queue: of keys.
    """

    @dataclass(frozen=True)
    class Settings(Projected.Settings):
        """Hyperparameters of pairs, besides those of contrast.

        Attributes:
            queue_size: keys to contrast against; at least the batch size.
            target_momentum: m of the key network.
            batch_groups: into how many a batch is divided, as official codes deal it out to GPUs. Each is normalised
                apart. Images are dealt out anew for the key network, so that no query knows its key by the statistics
                that they share (MoCo's shuffling).
        """

        queue_size: int
        target_momentum: float
        batch_groups: int = field(default=1, kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.queue_size >= 1, "queue_size", self.queue_size, "at least 1")
            require(0 <= self.target_momentum <= 1, "target_momentum", self.target_momentum, "between 0 and 1")
            require(self.batch_groups >= 1, "batch_groups", self.batch_groups, "at least 1")

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.key_backbone = momentum_copy(self.backbone)
        self.key_projector = momentum_copy(self.projector)
        self.queue = LabelledQueue(settings.queue_size, settings.projection_width)

    def networks(self, context: Context, parent: Objective | None) -> tuple[Any, nn.Module]:
        """New ones; the backbone normalises the groups of a batch apart."""
        backbone: Any = context.new_backbone(norm_of(self.settings.batch_groups))
        return backbone, self.new_projector(backbone.width)

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``loss`` of a step, and parts of it worth a line in the history."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """View 1 gives the queries, view 2 the keys. The key network moves first; its keys enter the queue last."""
        feature = self.backbone(batch.views[0])
        self.move_keys()
        key, labels = self.key(batch.views[1], batch.generator), batch.labels[0]
        past, past_labels = self.queue.keys.clone(), self.queue.labels.clone()  # the backward pass needs them as now
        parts = self.criterion(Pairs(feature, unit(self.projector(feature)), key, labels, past, past_labels), batch)
        self.queue.put(key, labels)
        return parts

    def encoder(self, features: str) -> nn.Module:
        """That of the queries; a copy that normalises whole batches if it is trained further, where it has groups."""
        found = super().encoder(features)
        return found if self.settings.batch_groups == 1 else unsplit(found)

    def move_keys(self) -> None:
        """Move the key network towards the query network, whose weights are those of the step before."""
        for target, online in ((self.key_backbone, self.backbone), (self.key_projector, self.projector)):
            follow(target, online, 1 - self.settings.target_momentum)

    @torch.no_grad()
    def key(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) by the key network to (B, d) unit rows without gradient, in the order of the images."""
        if self.settings.batch_groups == 1:
            return unit(self.key_projector(self.key_backbone(images)))
        order = torch.randperm(len(images), generator=generator, device=images.device)
        dealt = unit(self.key_projector(self.key_backbone(images[order])))
        return torch.empty_like(dealt).index_copy_(0, order, dealt)


class ClassifiedPairs(MomentumContrast):
    """Pairs with a linear classifier of the queries' feature, which learns beside the contrast and is read out.

    Attributes:
        class_sizes: n, (K,) int64, a buffer.
        classifier: h to logits.
    """

    class_sizes: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert context.class_sizes is not None
        self.register_buffer("class_sizes", context.class_sizes.clone())
        self.classifier = self.new_classifier(self.backbone.width, context.classes)

    def new_classifier(self, width: int, classes: int) -> nn.Module:
        """The classifier of (B, ``width``)."""
        return Linear(width, classes)

    def encoder(self, features: str) -> nn.Module:
        """``backbone``: h and the logits; ``projection``: the head's output, not normalised."""
        if features == "backbone":
            found = HeadedEncoder(self.backbone, self.classifier)
            return found if self.settings.batch_groups == 1 else unsplit(found)
        return super().encoder(features)
