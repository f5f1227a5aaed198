"""CoNR: contextually affinitive neighbourhood refinement (Yu, Shi, Wang, NeurIPS 2023; cly234/DeepClustering-ConNR).

Goes on from BYOL: an image's prediction is drawn to the target's projections of its neighbours in the batch, those that
are near it in context rather than in angle. Images at the boundary of a cluster are left out at first. The released
code cannot run the BYOL stage that comes before; its second stage says what is done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from longtail.clusterers.kmeans import spherical_kmeans
from longtail.methods.base import Batch, Context, Images, Objective
from longtail.methods.checks import require
from longtail.methods.clustering.byol import BYOL
from longtail.methods.losses.numerics import full_precision, unit


@torch.no_grad()
@full_precision
def contextual_neighbours(k: Tensor, context_size: int, propagation_size: int, neighbours: int) -> Tensor:
    """The neighbours of each row by whom they have for neighbours.

    A starts as the one-hot rows of each row's ``context_size`` nearest by s = k k^T, itself the first of them. Twice, A
    becomes A + A^T, then each of its rows the sum over its ``propagation_size`` nearest j of s_ij^2 A_j, of length 1.
    Neighbours are ranked by A A^T; of equals the earlier row comes first.

    Args:
        k: unit rows, (B, d).
        context_size: k1.
        propagation_size: k2.
        neighbours: how many to name.

    Returns:
        Rows of the batch, (B, min(neighbours, B)) int64.
    """
    similarity = k @ k.T
    itself = torch.eye(len(k), dtype=torch.bool, device=k.device)
    ranking = similarity.masked_fill(itself, torch.inf).argsort(dim=1, descending=True, stable=True)
    context = torch.zeros_like(similarity).scatter_(1, ranking[:, :context_size], 1.0)
    nearest = ranking[:, :propagation_size]
    propagation = torch.zeros_like(similarity).scatter_(1, nearest, similarity.gather(1, nearest).square())
    for _ in range(2):
        context = functional.normalize(propagation @ (context + context.T), dim=1)
    return (context @ context.T).argsort(dim=1, descending=True, stable=True)[:, :neighbours]


@torch.no_grad()
@full_precision
def boundary_ratios(k: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Distance to the own centre over that to the nearest other one, (B,); near 1 at the boundary of a cluster.

    Args:
        k: unit rows, (B, d).
        labels: their clusters, (B,) int64.
        centres: means of unit rows, (K, d), not normalised.
    """
    distances = torch.cdist(k, centres, compute_mode="donot_use_mm_for_euclid_dist")
    own = distances.gather(1, labels[:, None]).squeeze(1)
    others = distances.scatter(1, labels[:, None], torch.inf).amin(1)
    return own / others.clamp_min(torch.finfo(others.dtype).tiny)


def within_boundary(ratios: Tensor, share: Tensor) -> Tensor:
    """Which rows have a ratio below the one of rank floor(share B), (B,) bool: one fewer than that, at least.

    Args:
        ratios: (B,).
        share: t, a float64 scalar in [0, 1].
    """
    rank = (share * len(ratios)).floor().long().clamp_min(1)
    return ratios < ratios.sort().values.gather(0, rank[None] - 1)


@full_precision
def concordance(p: Tensor, k: Tensor, kept: Tensor, neighbours: Tensor) -> Tensor:
    """-2 times the mean over images and neighbours of cos(p_i, k_j), where an image that is not kept counts as 0.

    Args:
        p: predictions, (B, d), not normalised.
        k: the target's projections of the other view, (B, d) unit rows; no gradient flows into them.
        kept: (B,) bool.
        neighbours: of each row, (B, n) int64.
    """
    cosines = (unit(p) @ k.detach().T).gather(1, neighbours)
    return -2 * torch.where(kept[:, None], cosines, 0).mean()


class CoNR(BYOL):
    """The networks of BYOL under the concordance of contextual neighbours."""

    @dataclass(frozen=True)
    class Settings(BYOL.Settings):
        """Hyperparameters of CoNR beside those of BYOL.

        Attributes:
            learning_rate_scale: factor on the learning rate of backbone and projector.
            context_size: k1 of :func:`contextual_neighbours`.
            propagation_size: k2 of it.
            neighbours: k, to how many an image is drawn, itself included.
            kept_at_start: share t of a batch that is inside the boundary before the first epoch ...
            kept_ramp_epochs: ... and after how many epochs of this objective all are.
            kmeans_seed: of the clustering at the start of each epoch.
            kmeans_inits: its starts.
        """

        learning_rate_scale: float
        context_size: int
        propagation_size: int
        neighbours: int
        kept_at_start: float
        kept_ramp_epochs: float
        kmeans_seed: int
        kmeans_inits: int

        def __post_init__(self) -> None:
            super().__post_init__()
            require(0 <= self.kept_at_start <= 1, "kept_at_start", self.kept_at_start, "between 0 and 1")
            require(self.kept_ramp_epochs > 0, "kept_ramp_epochs", self.kept_ramp_epochs, "above 0")
            for name in ("context_size", "propagation_size", "neighbours", "kmeans_inits"):
                require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")

    settings: Settings
    labels: Tensor
    centres: Tensor
    epochs: Tensor
    kept_share: Tensor

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.register_buffer("labels", torch.zeros(context.rows, dtype=torch.int64))
        self.register_buffer("centres", torch.zeros(context.classes, settings.projection_width))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.float64))  # of this objective, not of the clock
        self.register_buffer("kept_share", torch.ones((), dtype=torch.float64))

    def prepare(self, images: Images) -> None:
        """Begin to count the epochs of this objective."""
        self.epochs.zero_()

    @torch.no_grad()
    def start_epoch(self, epoch: int, images: Images) -> None:
        """Cluster the target's embeddings, and widen the boundary."""
        s = self.settings
        embeddings = images.encode(self.encoder("target_projection"))
        found = spherical_kmeans(embeddings, len(self.centres), seed=s.kmeans_seed, inits=s.kmeans_inits)
        self.labels.copy_(found.labels)
        self.centres.copy_(found.centres)
        self.epochs.add_(1)
        self.kept_share.copy_((s.kept_at_start + (1 - s.kept_at_start) * self.epochs / s.kept_ramp_epochs).clamp(max=1))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: the mean of the concordances in both directions; ``kept``: the share inside the boundary."""
        s = self.settings
        labels = self.labels[batch.rows[0]]
        loss = kept_share = torch.zeros((), device=labels.device)
        for view, other in (batch.views, batch.views[::-1]):
            p, k = self.predictor(self.online(view)), unit(self.target(other))
            kept = within_boundary(boundary_ratios(k, labels, self.centres.to(k.dtype)), self.kept_share)
            neighbours = contextual_neighbours(k, s.context_size, s.propagation_size, s.neighbours)
            loss = loss + 0.5 * concordance(p, k, kept, neighbours)
            kept_share = kept_share + 0.5 * kept.float().mean()
        return {"loss": loss, "kept": kept_share}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """As BYOL's, with a factor on the learning rate of backbone and projector, too."""
        rest, own = super().parameter_groups()
        return [{**rest, "learning_rate_scale": self.settings.learning_rate_scale}, own]
