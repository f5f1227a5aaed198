"""MoCo: momentum contrast against a queue of past keys (He, Fan, Wu, Xie, Girshick, CVPR 2020).

Follows the CIFAR-10 demo of facebookresearch/moco: asymmetric loss, linear head, batch normalisation in groups with
shuffled keys. ConMix and MiniClustering give no configuration of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.numerics import full_precision, unit
from longtail.models.chain import Chain
from longtail.models.momentum import follow, momentum_copy
from longtail.models.queue import KeyQueue
from longtail.models.splitnorm import SplitBatchNorm2d, unsplit


@full_precision
def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding each query's key among the negatives (He et al. 2020, Eq. 1).

    Args:
        query: q, (B, d) unit rows.
        key: k+, (B, d) unit rows, without gradient.
        negatives: the queue, (Q, d) unit rows, without gradient.
        temperature: tau.
    """
    positive = (query * key).sum(1, keepdim=True)
    logits = torch.cat([positive, query @ negatives.T], dim=1) / temperature
    return functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64, device=query.device))


class MoCo(Objective):
    """A query network, a key network that follows it, and the queue of the keys of the last steps."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of MoCo.

        Attributes:
            temperature: tau.
            projection_width: d, outputs of the linear head.
            queue_size: keys to contrast against; at least the batch size.
            target_momentum: m of the key network.
            batchnorm_splits: groups of a batch that are normalised apart. Keys are shuffled between groups, so that
                a query cannot recognise its key by the statistics they share. One group is plain batch normalisation.
        """

        temperature: float
        projection_width: int
        queue_size: int
        target_momentum: float
        batchnorm_splits: int

        def __post_init__(self) -> None:
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(0 <= self.target_momentum <= 1, "target_momentum", self.target_momentum, "between 0 and 1")
            for name in ("projection_width", "queue_size", "batchnorm_splits"):
                require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")

    features: ClassVar[tuple[str, ...]] = ("projection",)

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings

        def norm(channels: int) -> SplitBatchNorm2d:
            return SplitBatchNorm2d(channels, settings.batchnorm_splits)

        backbone: Any = context.new_backbone(norm=norm)
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, settings.projection_width)
        self.key_backbone = momentum_copy(self.backbone)
        self.key_head = momentum_copy(self.head)
        self.queue = KeyQueue(settings.queue_size, settings.projection_width)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """View 1 gives the queries, view 2 the keys."""
        view_1, view_2 = batch.views
        query = unit(self.head(self.backbone(view_1)))
        key = self._keys(view_2, batch.generator)
        negatives = self.queue.keys.clone()  # the backward pass needs the queue as it was
        loss = info_nce(query, key, negatives, self.settings.temperature)
        self.queue.enqueue(key)
        return {"loss": loss}

    @torch.no_grad()
    def _keys(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Move the key network, then encode ``view`` in shuffled order: (B, d) unit rows in the order of the batch."""
        rate = 1 - self.settings.target_momentum
        follow(self.key_backbone, self.backbone, rate)
        follow(self.key_head, self.head, rate)
        order = torch.randperm(len(view), generator=generator, device=view.device)
        shuffled = unit(self.key_head(self.key_backbone(view[order])))
        return torch.empty_like(shuffled).index_copy_(0, order, shuffled)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The query network; the key network has no gradient."""
        return [{"params": [*self.backbone.parameters(), *self.head.parameters()], "learning_rate_scale": 1.0}]

    def encoder(self, features: str) -> nn.Module:
        """``projection``: a copy of the query network, which normalises whole batches if it is trained further."""
        if features != "projection":
            raise unknown("features of MoCo", features, self.features)
        return unsplit(Chain(self.backbone, self.head, width=self.settings.projection_width))
