"""SeCu: stable cluster discrimination with a bound on cluster sizes (Qian, ICCV 2023; idstcv/SeCu).

Ten heads of K, 2K, ..., 10K centres label the images; the encoder learns the labels, and each centre from the images it
has. A centre whose cluster stays too small is favoured by its dual variable, so no cluster dies out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Images, Objective
from longtail.methods.checks import require
from longtail.methods.losses.numerics import full_precision, unit
from longtail.models.chain import Chain
from longtail.models.headed import HeadedEncoder
from longtail.models.mlp import projector


@full_precision
def cosines(z: Tensor, centres: Tensor) -> Tensor:
    """Of unit rows z, (B, d), to the columns of C, (d, K), which are normalised here: (B, K)."""
    return z @ functional.normalize(centres, dim=0)


def assign(first: Tensor, second: Tensor, duals: Tensor) -> Tensor:
    """The labels argmin_c -(z^1 + z^2) c_c / 2 - rho_c, (B,) int64; of equals the first centre.

    Args:
        first: cosines of view 1 to the centres, (B, K).
        second: those of view 2.
        duals: rho, (K,).
    """
    return ((first + second) / 2 + duals).argmax(1)


def next_duals(duals: Tensor, labels: Tensor, rate: float, ratio: float) -> Tensor:
    """max(0, rho_c - eta n_c / B + eta gamma / K): up where a cluster has less than gamma of an equal share.

    Args:
        duals: rho, (K,).
        labels: of a batch, (B,) int64; n_c of them are c.
        rate: eta.
        ratio: gamma.
    """
    sizes = torch.zeros_like(duals).index_add_(0, labels, torch.ones_like(labels, dtype=duals.dtype))
    return (duals + rate * (ratio / len(duals) - sizes / len(labels))).clamp_min(0)


@full_precision
def representation_loss(first: Tensor, second: Tensor, labels: Tensor, label_weight: float) -> Tensor:
    """Cross-entropy of each view with tau onehot(y) + (1 - tau) p, p the other view's prediction; the views' mean.

    Args:
        first: logits of view 1, (B, K).
        second: those of view 2.
        labels: y, (B,) int64.
        label_weight: tau.
    """
    loss = torch.zeros((), device=first.device)
    for own, other in ((first, second), (second, first)):
        prediction = functional.cross_entropy(own, other.detach().softmax(1))
        loss = loss + label_weight * functional.cross_entropy(own, labels) + (1 - label_weight) * prediction
    return loss / 2


@full_precision
def centre_loss(cosine: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of cosines over t_w with the labels, with gradient through each row's own column only.

    Without this a centre would be pushed about by the images of all others, which is what makes plain cluster
    discrimination unstable.
    """
    own = functional.one_hot(labels, cosine.shape[1]).bool()
    return functional.cross_entropy(torch.where(own, cosine, cosine.detach()) / temperature, labels)


class Centres(nn.Module):
    """The cosines to some of the centres as a head: (B, d), of any length, to (B, K)."""

    def __init__(self, centres: Tensor) -> None:
        super().__init__()
        self.centres = centres

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, d) to (B, K)."""
        return cosines(unit(embedding), self.centres)


class SeCu(Objective):
    """An encoder and several heads of cluster centres; the first head has K."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of SeCu.

        Attributes:
            projection_width: d.
            heads: H; head h has h K centres.
            representation_temperature: t, of the loss that trains the encoder.
            centre_temperature: t_w, of the loss that trains the centres.
            label_weight: tau of :func:`representation_loss`.
            dual_learning_rate: eta.
            size_ratio: gamma, the least size of a cluster as a share of the mean size.
            centre_learning_rate: of the centres; it does not follow the schedule.
        """

        projection_width: int
        heads: int
        representation_temperature: float
        centre_temperature: float
        label_weight: float
        dual_learning_rate: float
        size_ratio: float
        centre_learning_rate: float

        def __post_init__(self) -> None:
            for name in ("projection_width", "heads"):
                require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
            for name in ("representation_temperature", "centre_temperature"):
                require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
            require(0 <= self.size_ratio < 1, "size_ratio", self.size_ratio, "at least 0 and below 1")

    features: ClassVar[tuple[str, ...]] = ("cluster_head", "projection", "backbone")

    duals: Tensor
    start_centres: Tensor
    labels: Tensor

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings, self.classes = settings, context.classes
        backbone: Any = context.new_backbone()
        self.network = Chain(
            backbone,
            projector(backbone.width, backbone.width, settings.projection_width),
            width=settings.projection_width,
        )
        self.sizes = [head * context.classes for head in range(1, settings.heads + 1)]
        centres = torch.randn(settings.projection_width, sum(self.sizes))
        self.centres = nn.Parameter(functional.normalize(centres, dim=0))  # those of all heads side by side
        self.register_buffer("start_centres", self.centres.detach().clone())
        self.register_buffer("duals", torch.zeros(sum(self.sizes)))
        self.register_buffer("labels", torch.full((context.rows, settings.heads), -1, dtype=torch.int64))

    @torch.no_grad()
    def start_epoch(self, epoch: int, images: Images) -> None:
        """Keep the centres of this moment: the encoder learns from them until the epoch is over."""
        self.start_centres.copy_(self.centres)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_x + L_c, each the mean over views and heads.

        The encoder learns the label that an image had when it was last visited; at its first visit, the one it gets.
        """
        s = self.settings
        z = [unit(self.network(view)) for view in batch.views]
        logits = [cosines(v, self.start_centres) / s.representation_temperature for v in z]
        to_centres = [cosines(v.detach(), self.centres) for v in z]
        last_labels = self.labels[batch.rows[0]]
        loss_x = loss_c = torch.zeros((), device=last_labels.device)
        labels, duals = [], []
        for head, (first, second, own_duals, *own_logits) in enumerate(
            zip(*(part.split(self.sizes, dim=-1) for part in (*to_centres, self.duals, *logits)), strict=True)
        ):
            label = assign(first.detach(), second.detach(), own_duals)
            labels.append(label)
            duals.append(next_duals(own_duals, label, s.dual_learning_rate, s.size_ratio))
            known = torch.where(last_labels[:, head] < 0, label, last_labels[:, head])
            loss_x = loss_x + representation_loss(own_logits[0], own_logits[1], known, s.label_weight) / s.heads
            for cosine in (first, second):
                loss_c = loss_c + centre_loss(cosine, label, s.centre_temperature) / (2 * s.heads)
        self.labels[batch.rows[0]] = torch.stack(labels, dim=1)
        self.duals.copy_(torch.cat(duals))
        return {"loss": loss_x + loss_c, "L_x": loss_x.detach(), "L_c": loss_c.detach()}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The encoder by the schedule, the centres at a learning rate of their own."""
        return [
            {"params": list(self.network.parameters()), "learning_rate_scale": 1.0},
            {"params": [self.centres], "learning_rate": self.settings.centre_learning_rate},
        ]

    def encoder(self, features: str) -> nn.Module:
        """``cluster_head``: embedding, and cosines to the K centres of the first head; no dual decides any more."""
        match features:
            case "cluster_head":
                return HeadedEncoder(self.network, Centres(self.centres.detach()[:, : self.classes]))
            case "projection":
                return self.network
            case "backbone":
                return self.network[0]
        raise unknown("features of SeCu", features, self.features)
