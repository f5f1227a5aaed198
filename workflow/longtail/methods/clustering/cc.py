"""CC: Contrastive Clustering (Li, Hu, Liu, Peng, Zhou, Peng, AAAI 2021; Yunfan-Li/Contrastive-Clustering).

Rows of a batch's cluster probabilities describe images, columns describe clusters. Both are contrasted between two
views: images by an instance head, clusters by a cluster head whose arg max is the prediction. Nothing here knows of a
long tail; on one the cluster head may come to use few of its clusters, and every term stays finite when it does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import full_precision
from longtail.models.chain import Chain
from longtail.models.headed import HeadedEncoder


@full_precision
def cluster_loss(logits_a: Tensor, logits_b: Tensor, temperature: float) -> Tensor:
    """L_clu: NT-Xent between the columns of the two views' cluster probabilities, and a term against empty clusters.

    The second term is the sum over the views of log K - H(mean probabilities). log K, which the official code adds,
    changes no gradient; with it the term is 0 when all clusters are equally likely.

    Args:
        logits_a: of the cluster head on the first view, (B, K).
        logits_b: those on the second view, in the same order.
        temperature: tau_C.
    """
    p_a, p_b = logits_a.softmax(1), logits_b.softmax(1)
    return nt_xent(p_a.T, p_b.T, temperature) + imbalance(p_a) + imbalance(p_b)


def imbalance(probabilities: Tensor) -> Tensor:
    """How far H of the mean of the rows of ``probabilities`` (B, K) is below log K: between 0 and log K.

    A cluster whose mean underflows to 0 adds 0, with a finite gradient.
    """
    mean = probabilities.mean(0)
    logarithm = mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
    return math.log(len(mean)) + (mean * logarithm).sum()


class CC(Objective):
    """A backbone with an instance head and a cluster head, both with one hidden layer and no normalisation."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of CC.

        Attributes:
            instance_temperature: tau_I.
            cluster_temperature: tau_C.
            projection_width: outputs of the instance head.
        """

        instance_temperature: float
        cluster_temperature: float
        projection_width: int

        def __post_init__(self) -> None:
            for name in ("instance_temperature", "cluster_temperature"):
                require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")

    features: ClassVar[tuple[str, ...]] = ("cluster_head", "projection", "backbone")

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        backbone: Any = context.new_backbone()
        self.backbone = backbone
        self.instance_head = _head(backbone.width, settings.projection_width)
        self.cluster_head = _head(backbone.width, context.classes)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_ins + L_clu, both parts in the history."""
        h_a, h_b = (self.backbone(view) for view in batch.views)
        instance = nt_xent(self.instance_head(h_a), self.instance_head(h_b), self.settings.instance_temperature)
        cluster = cluster_loss(self.cluster_head(h_a), self.cluster_head(h_b), self.settings.cluster_temperature)
        return {"loss": instance + cluster, "instance": instance, "cluster": cluster}

    def encoder(self, features: str) -> nn.Module:
        """``cluster_head``: the backbone's output and the clusters' logits; ``projection``: of the instance head."""
        match features:
            case "cluster_head":
                return HeadedEncoder(self.backbone, self.cluster_head)
            case "projection":
                return Chain(self.backbone, self.instance_head, width=self.settings.projection_width)
            case "backbone":
                return self.backbone
        raise unknown("features of CC", features, self.features)


def _head(width: int, outputs: int) -> nn.Sequential:
    """(B, width) to (B, outputs), not normalised."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))
