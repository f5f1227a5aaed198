"""Instance discrimination with a memory bank, and the two methods that add decorrelated features to it.

Every image is a class of its own, and the classifier's weights are the images' representations as they were when last
seen. Both methods cluster that memory bank, not outputs of the network.

* IDFD: Clustering-friendly Representation Learning via Instance Discrimination and Feature Decorrelation (Tao, Takagi,
  Nakata, ICLR 2021; TTN-YKK/Clustering_friendly_representation_learning).
* DMICC: Dual Mutual Information Constraints for Discriminative Clustering (Li, Zhang, Su, AAAI 2023; Li-Hyn/DMICC).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.numerics import full_precision, unit
from longtail.models.chain import Chain
from longtail.models.memory_bank import MemoryBank

EPSILON = sys.float_info.epsilon  # what DMICC's code raises entries to before it takes logarithms
LEAST_JOINT = 1e-3


@full_precision
def discrimination_loss(f: Tensor, memory: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """L_ID: cross-entropy of telling each image from all others, over the whole memory (IDFD Sec. 3.1).

    Args:
        f: representations, (B, d), of length 1.
        memory: V, (N, d), without gradient.
        rows: which image each f is of, (B,) int64.
        temperature: tau_1.
    """
    return functional.cross_entropy(f @ memory.T / temperature, rows)


@full_precision
def decorrelation_loss(f: Tensor, temperature: float, reduction: str) -> Tensor:
    """L_FD: cross-entropy of telling each feature, a column of ``f``, from the other features (IDFD Sec. 3.2).

    Args:
        f: representations, (B, d); the columns are normalised here.
        temperature: tau_2.
        reduction: ``mean`` over the d features, as in the official code; or, as in the paper, where L_ID and L_FD are
            both ``sums``, their sum over B, which is what it weighs beside an L_ID that is a mean over the batch.
    """
    columns = functional.normalize(f, dim=0)
    similarity = columns.T @ columns / temperature
    mean = functional.cross_entropy(similarity, torch.arange(len(similarity), device=f.device))
    return mean if reduction == "mean" else mean * (len(similarity) / len(f))


@full_precision
def feature_information(f: Tensor, regularization: float) -> Tensor:
    """L_FMI: what features tell of each other, to be minimised (Li-Hyn/DMICC).

    With C the cosine similarity of features and p its row sums, the mean over i, j of
    C_ij (log C_ij - (lambda + 1)(log p_i + log p_j)). C is no distribution: entries and sums that are not positive
    are raised to the machine epsilon, which stops their gradient.

    Args:
        f: representations, (B, d); the columns are normalised here.
        regularization: lambda.
    """
    columns = functional.normalize(f, dim=0)
    joint = columns.T @ columns
    marginal = joint.sum(1).clamp_min(EPSILON).log()
    joint = joint.clamp_min(EPSILON)
    return (joint * (joint.log() - (regularization + 1) * (marginal[:, None] + marginal))).mean()


@full_precision
def instance_information(f1: Tensor, f2: Tensor, regularization: float) -> Tensor:
    """L_IMI: what the two views tell of each other, negative so that it is maximised (Li-Hyn/DMICC).

    With J = F_1^T F_2, made symmetric and scaled to a sum of 1, and p its row sums: minus the sum over i, j of
    J_ij (log J_ij + lambda (log p_i + log p_j)). Where f are no distributions, entries may be negative, and are raised
    to the machine epsilon; and their sum, by which J is scaled, may be as good as 0. The official code divides by it
    all the same; here it is kept ``LEAST_JOINT`` away from 0, so that one batch cannot end a training.

    Args:
        f1: of view 1, (B, d).
        f2: of view 2, in the same order.
        regularization: lambda.
    """
    joint = f1.T @ f2
    joint = (joint + joint.T) / 2
    total = joint.sum()
    kept = torch.where(total < 0, total.clamp_max(-LEAST_JOINT), total.clamp_min(LEAST_JOINT))
    joint = joint / kept
    marginal = joint.sum(1).clamp_min(EPSILON).log()
    joint = joint.clamp_min(EPSILON)
    return -(joint * (joint.log() + regularization * (marginal[:, None] + marginal))).sum()


class InstanceDiscrimination(Objective):
    """A backbone with a linear layer and a memory bank; subclasses say how features are decorrelated."""

    @dataclass(frozen=True)
    class Settings:
        """What both methods share.

        Attributes:
            projection_width: d.
            instance_temperature: tau_1 of L_ID.
            memory_momentum: m: how much of the memory stays when its image is seen.
        """

        projection_width: int
        instance_temperature: float
        memory_momentum: float

        def __post_init__(self) -> None:
            check_choices(self)
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")
            require(self.instance_temperature > 0, "instance_temperature", self.instance_temperature, "above 0")
            require(0 <= self.memory_momentum < 1, "memory_momentum", self.memory_momentum, "from 0 to below 1")

    features: ClassVar[tuple[str, ...]] = ("memory", "projection", "backbone")

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        backbone: Any = context.new_backbone()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, settings.projection_width)
        self.memory = MemoryBank(context.rows, settings.projection_width)

    def represent(self, view: Tensor) -> Tensor:
        """f: (B, C, H, W) to (B, d) of length 1."""
        return unit(self.head(self.backbone(view)))

    def discriminate(self, f: Tensor, rows: Tensor) -> Tensor:
        """L_ID against the memory as it was before this step, which ``f`` then moves."""
        before = self.memory.vectors.clone()  # the backward pass needs it
        loss = discrimination_loss(f, before, rows, self.settings.instance_temperature)
        self.memory.update(rows, f, self.settings.memory_momentum)
        return loss

    def encoder(self, features: str) -> nn.Module:
        """``projection``: f before it is normalised; ``backbone``: what the linear layer sees.

        ``memory`` has no encoder, as it knows no images but the training split's: see :meth:`stored`.
        """
        match features:
            case "projection":
                return Chain(self.backbone, self.head, width=self.settings.projection_width)
            case "backbone":
                return self.backbone
        raise unknown(f"features of {type(self).__name__}", features, self.features)

    def stored(self, features: str) -> Tensor | None:
        """``memory``: the memory bank."""
        return self.memory.vectors if features == "memory" else None


class IDFD(InstanceDiscrimination):
    """Features are told from each other as images are, by a softmax over their similarities."""

    @dataclass(frozen=True)
    class Settings(InstanceDiscrimination.Settings):
        """Attributes.

        feature_temperature: tau_2 of L_FD.
        feature_reduction: see :func:`decorrelation_loss`.
        """

        feature_temperature: float
        feature_reduction: Literal["mean", "sums"]

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.feature_temperature > 0, "feature_temperature", self.feature_temperature, "above 0")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_ID + L_FD of one view, both parts in the history."""
        (view,) = batch.views
        f = self.represent(view)
        instance = self.discriminate(f, batch.rows[0])
        feature = decorrelation_loss(f, self.settings.feature_temperature, self.settings.feature_reduction)
        return {"loss": instance + feature, "instance": instance, "feature": feature}


class DMICC(InstanceDiscrimination):
    """Little information between features, much between views."""

    @dataclass(frozen=True)
    class Settings(InstanceDiscrimination.Settings):
        """Attributes.

        feature_weight: factor on L_FMI.
        instance_weight: factor on L_IMI.
        regularization: lambda of both.
        joint_of: what L_IMI takes products of: the features of length 1 as they are (``features``), or their
            ``softmax``, which makes J a distribution.
        """

        feature_weight: float
        instance_weight: float
        regularization: float
        joint_of: Literal["features", "softmax"]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_ID and L_FMI of view 1, and L_IMI of both views, all parts in the history."""
        s = self.settings
        f1, f2 = (self.represent(view) for view in batch.views)
        instance = self.discriminate(f1, batch.rows[0])
        fmi = feature_information(f1, s.regularization)
        joint = (f1, f2) if s.joint_of == "features" else (f1.softmax(1), f2.softmax(1))
        imi = instance_information(*joint, s.regularization)
        loss = instance + s.feature_weight * fmi + s.instance_weight * imi
        return {"loss": loss, "instance": instance, "fmi": fmi, "imi": imi}
