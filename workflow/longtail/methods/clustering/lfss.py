"""LFSS: learning from sample stability (Li, Jia, Liu, Hou, ICML 2025; LZX-001/LFSS).

BYOL with noise, and two losses that hold on to what the target was at the end of the last epoch, the snapshot: an image
is to be told apart by its own snapshot (instance stability), and later the prototypes of pseudo-classes are contrasted,
without the images whose embedding has moved most (prototype stability).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.clusterers.kmeans import spherical_kmeans
from longtail.methods.base import Batch, Context, Images, Objective
from longtail.methods.checks import require
from longtail.methods.clustering.byol import BYOL, regression_loss
from longtail.methods.clustering.conmix import synthesize
from longtail.methods.clustering.propos import standard_normal
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import full_precision, unit
from longtail.models.momentum import momentum_copy

UNSTABLE = -1  # the label of an image that takes part in no prototype


@full_precision
def instance_stability(q: Tensor, snapshot: Tensor, temperature: float) -> Tensor:
    """L_nt: the mean of -log exp(s_ii / tau) / sum_{j != i} exp(s_ij / tau), with s_ij the cosine of q_i and P(x_j).

    As in the official code, the denominator lacks the positive pair.

    Args:
        q: online projections, (B, d), not normalised.
        snapshot: the snapshot's projections P(x) of the same view, (B, d); no gradient flows into them.
        temperature: tau.

    Returns:
        A scalar; 0 for a single image, which has nothing to be told apart from.
    """
    similarity = unit(q) @ unit(snapshot.detach()).T / temperature
    if len(q) == 1:
        return 0 * similarity.sum()
    itself = torch.eye(len(q), dtype=torch.bool, device=q.device)
    return (similarity.masked_fill(itself, -torch.inf).logsumexp(1) - similarity.diagonal()).mean()


@full_precision
def prototype_stability(q: Tensor, k: Tensor, labels: Tensor, classes: int, temperature: float) -> Tensor:
    """L_prt: NT-Xent between the normalised class means of q and of k, over the classes present.

    Args:
        q: online projections, (B, d); unlike in ProPos, they are averaged as they are.
        k: the target's of the other view, (B, d); no gradient flows into them.
        labels: pseudo-labels, (B,) int64 in 0..K-1, or -1 for an image that takes no part.
        classes: K.
        temperature: tau.

    Returns:
        A scalar; 0 if there is no class or only one.
    """
    own, present = synthesize(q, labels, classes)
    other, _ = synthesize(k.detach(), labels, classes)
    some = present.any()
    return nt_xent(own, other, temperature, present | ~some) * some


def unstable(stability: Tensor, share: float) -> Tensor:
    """Which rows are less stable than the one of rank floor(share N), (N,) bool.

    Args:
        stability: (N,).
        share: delta.
    """
    return stability < stability.kthvalue(max(int(share * len(stability)), 1)).values


class BatchStatistics(nn.Module):
    """An encoder that normalises by the statistics of batches, also where others are in eval mode.

    Args:
        encoder: the network, (B, C, H, W) to (B, d); its running statistics move as in training.
        rows: images of a batch; the last of what is passed at once may have fewer.
    """

    def __init__(self, encoder: nn.Module, rows: int) -> None:
        super().__init__()
        self.encoder, self.rows = encoder, rows

    def forward(self, images: Tensor) -> Tensor:
        """As the encoder, batch by batch. A batch of one image has no statistics, and takes the running ones."""
        outputs = []
        for batch in images.split(self.rows):
            self.encoder.train(len(batch) > 1)
            outputs.append(self.encoder(batch))
        return torch.cat(outputs)


class LFSS(BYOL):
    """The networks of BYOL, and the snapshot of its target."""

    @dataclass(frozen=True)
    class Settings(BYOL.Settings):
        """Hyperparameters of LFSS beside those of BYOL, and the points in which paper and official code differ.

        Attributes:
            noise: sigma, of what is added to a projection before it predicts.
            temperature: tau of both losses.
            stability_weight: lambda, the factor on both.
            prototype_start_epochs: eta, epochs on the clock after which L_prt sets in.
            unstable_share: delta, the share of images that take no part in prototypes.
            stability_between: the target's stability is its cosine to the snapshot of the epoch before the last
                (``epochs``); or, since the official code takes the snapshot first, to itself (``equals``), so that
                rounding decides.
            pseudo_label_statistics: whether the split is embedded for this with the statistics of the ``batch``, in
                random order, or with the ``running`` ones.
            pseudo_label_batch: images of such a batch.
            kmeans_seed: of the clustering at the start of each epoch.
        """

        noise: float
        temperature: float
        stability_weight: float
        prototype_start_epochs: float
        unstable_share: float
        stability_between: Literal["equals", "epochs"]
        pseudo_label_statistics: Literal["batch", "running"]
        pseudo_label_batch: int
        kmeans_seed: int

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.noise >= 0, "noise", self.noise, "at least 0")
            require(self.pseudo_label_batch >= 1, "pseudo_label_batch", self.pseudo_label_batch, "at least 1")
            require(0 <= self.unstable_share <= 1, "unstable_share", self.unstable_share, "between 0 and 1")

    settings: Settings
    labels: Tensor
    prototypes_started: Tensor

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.classes = context.classes
        self.snapshot = momentum_copy(self.encoder("target_projection"))
        self.register_buffer("labels", torch.full((context.rows,), UNSTABLE, dtype=torch.int64))
        self.register_buffer("prototypes_started", torch.zeros(()))  # 0 or 1: a resumed epoch must know

    @torch.no_grad()
    def start_epoch(self, epoch: int, images: Images) -> None:
        """Take the snapshot, and find the pseudo-labels of stable images once prototypes are contrasted."""
        started = epoch >= self.settings.prototype_start_epochs
        self.prototypes_started.fill_(float(started))
        if started and self.settings.stability_between == "epochs":
            self._label(images)
        self.snapshot.load_state_dict(self.encoder("target_projection").state_dict())
        if started and self.settings.stability_between == "equals":
            self._label(images)

    def _label(self, images: Images) -> None:
        s = self.settings
        target, snapshot = self.encoder("target_projection"), self.snapshot
        if s.pseudo_label_statistics == "batch":
            order = torch.randperm(len(self.labels))
            now, before = (
                images.encode(BatchStatistics(network, s.pseudo_label_batch), order) for network in (target, snapshot)
            )
        else:
            now, before = (images.encode(network) for network in (target, snapshot))
        labels = spherical_kmeans(now, self.classes, seed=s.kmeans_seed, lengths_count=True).labels
        # rows are normalised twice, as in the official code, since there rounding is all that tells them apart
        moved = unstable(functional.cosine_similarity(unit(before), unit(now)), s.unstable_share)
        self.labels.copy_(labels.masked_fill(moved, UNSTABLE))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_noise + lambda L_nt, + lambda L_prt later; each the mean of both views or directions."""
        s = self.settings
        q = [self.online(view) for view in batch.views]
        k = [self.target(view) for view in batch.views]
        labels = self.labels[batch.rows[0]]
        loss_noise = loss_nt = loss_prt = torch.zeros((), device=labels.device)
        for i, j in ((0, 1), (1, 0)):
            moved = q[i] + s.noise * standard_normal(q[i], batch.generator)
            loss_noise = loss_noise + 0.5 * regression_loss(self.predictor(moved), k[j])
            with torch.no_grad():
                snapshot = self.snapshot(batch.views[i])
            loss_nt = loss_nt + 0.5 * instance_stability(q[i], snapshot, s.temperature)
            loss_prt = loss_prt + 0.5 * prototype_stability(q[i], k[j], labels, self.classes, s.temperature)
        loss = loss_noise + s.stability_weight * (loss_nt + self.prototypes_started * loss_prt)
        return {"loss": loss, "L_noise": loss_noise.detach(), "L_nt": loss_nt.detach(), "L_prt": loss_prt.detach()}
