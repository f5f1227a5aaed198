"""MiniClustering (Li, Jia, Chen, Liu, Hou, ICLR 2026) and its variant with fewer guiding clusters, MaxiClustering.

Two linear heads label a pre-trained encoder's embeddings, one with the K target clusters and one with M mini-clusters.
Each learns from its own confident predictions on another view; how many mini-clusters a target cluster spreads over
estimates its size, and re-weights its loss. Paper and official code (LZX-001/MiniClustering) differ in several points;
each is a setting of :class:`MiniClustering.Settings` with both values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.clusterers.kmeans import spherical_kmeans
from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Images, Objective, Start
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.long_tailed import (
    balanced_cross_entropy,
    effective_number_weights,
    equalized_cross_entropy,
)
from longtail.methods.losses.numerics import full_precision
from longtail.models.headed import Head, HeadedEncoder


def contingency(target_labels: Tensor, mini_labels: Tensor, targets: int, minis: int) -> Tensor:
    """|T_kj|: the images of a batch in target cluster k and mini-cluster j (Eq. 2).

    Args:
        target_labels: (B,) int64 in 0..K-1.
        mini_labels: (B,) int64 in 0..M-1.
        targets: K.
        minis: M.

    Returns:
        (K, M) float32.
    """
    counts = torch.zeros(targets * minis, device=target_labels.device)
    ones = torch.ones(len(target_labels), device=target_labels.device)
    return counts.index_add_(0, target_labels * minis + mini_labels, ones).view(targets, minis)


def mini_cluster_weights(counts: Tensor, delta: float) -> Tensor:
    """w_k = M / max(#{j: |T_kj| / |T_j| > delta}, 0.5) (Eq. 2).

    A mini-cluster without images counts for no target; below delta = 0.5 one may count for several.

    Args:
        counts: |T_kj|, (K, M).
        delta: assignment threshold.

    Returns:
        (K,), between 1 and 2 M.
    """
    shares = counts / counts.sum(0, keepdim=True).clamp_min(1)
    return counts.shape[1] / (shares > delta).sum(1).clamp_min(0.5)


def maxi_cluster_weights(counts: Tensor, delta: float) -> Tensor:
    """w_k = max(#{j: |T_kj| / |T_k| > delta}, 0.5) (Eq. 6), with the arguments of :func:`mini_cluster_weights`."""
    shares = counts / counts.sum(1, keepdim=True).clamp_min(1)
    return (shares > delta).sum(1).clamp_min(0.5)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """The sum of w v over the sum of w; 0, with a gradient of 0, if all weights are 0."""
    return (weights * values).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)


def plain_mean(values: Tensor, weights: Tensor) -> Tensor:
    """The sum of w v over the number of images with w > 0, those that take part; 0 if there are none."""
    return (weights * values).sum() / (weights > 0).sum().clamp_min(1)


MEANS = {"weighted_mean": weighted_mean, "plain_mean": plain_mean}


def reweighted_loss(logits: Tensor, labels: Tensor, confident: Tensor, weights: Tensor, reweighting: str) -> Tensor:
    """L_r: cross-entropy over the confident images, each weighted by w of its pseudo-label (Eq. 3).

    Args:
        logits: of the target head on view 1, (B, K).
        labels: pseudo-labels from view 2, (B,) int64.
        confident: membership in S_t, (B,) of zeros and ones.
        weights: w_k, (K,).
        reweighting: ``plain_mean`` divides by the number of confident images, as the paper does; ``weighted_mean`` by
            the sum of their weights, as the official code does, so that only ratios of weights matter.
    """
    return MEANS[reweighting](
        functional.cross_entropy(logits, labels, reduction="none"), confident * weights.to(logits.dtype)[labels]
    )


def mini_loss(logits: Tensor, labels: Tensor, confident: Tensor, balance: str) -> Tensor:
    """L_m: cross-entropy over the confident images of the mini-cluster head (Eq. 1).

    Args:
        logits: of the mini-cluster head on view 1, (B, M).
        labels: pseudo-labels from view 2, (B,) int64.
        confident: membership in S_m, (B,) of zeros and ones.
        balance: ``plain`` is the mean over images, as in the paper; ``class_balanced`` the mean over the mini-clusters
            that occur of their images' mean, as in the official code.
    """
    values = functional.cross_entropy(logits, labels, reduction="none")
    if balance == "plain":
        return plain_mean(values, confident)
    sizes = torch.zeros_like(logits[0]).index_add_(0, labels, confident)
    return weighted_mean(values, confident / sizes.clamp_min(1)[labels])


@full_precision
def similarity_loss(target_logits: Tensor, mini_logits: Tensor, similarity: str) -> Tensor:
    """L_s: mean squared difference of the two heads' similarity matrices P P^T (Eq. 4).

    Args:
        target_logits: (B, K).
        mini_logits: (B, M).
        similarity: ``inner`` products of the predictions as in the paper, or their ``cosine`` as in the official code.
    """

    def matrix(logits: Tensor) -> Tensor:
        predictions = logits.softmax(dim=1)
        if similarity == "cosine":
            predictions = functional.normalize(predictions, dim=1)
        return predictions @ predictions.T

    return functional.mse_loss(matrix(target_logits), matrix(mini_logits))


class MiniClustering(Objective):
    """The encoder of a pre-trained objective with a target head and a mini-cluster head, all three trained."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of MiniClustering, and the points in which paper and official code differ.

        Attributes:
            features: what is taken over from the pre-trained objective, a name that its ``encoder`` knows.
            direction: whether the second head has more clusters than targets (``mini``) or fewer (``maxi``); decides
                between Eq. 2 and Eq. 6.
            mini_clusters: M.
            assignment_threshold: delta.
            confidence_threshold: tau; 0 lets every image take part.
            target_weight: factor on L_r, 1 in Eq. 5.
            alpha: factor on L_m.
            beta: factor on L_s.
            target_loss: L_r (``reweighted``), what App. G puts in its place, or cross-entropy without weights.
            cb_gamma: gamma of ``cb_softmax``.
            confidence_view: the view whose confidence is held against tau.
            count_view: the view whose predictions are counted for w_k.
            reweighting: how the weighted loss is averaged, see :func:`reweighted_loss`.
            mini_balance: how L_m is averaged, see :func:`mini_loss`.
            similarity: of predictions in L_s, see :func:`similarity_loss`.
            empty_mask: what a head without a confident image does: ``skip`` the whole batch, or leave its own loss
                ``zero``.
            head_scale: length of the heads' initial weight vectors.
            kmeans_seed: of the K-means that the heads start from.
        """

        features: str
        direction: Literal["mini", "maxi"]
        mini_clusters: int
        assignment_threshold: float
        confidence_threshold: float
        target_weight: float
        alpha: float
        beta: float
        target_loss: Literal["reweighted", "unweighted", "cb_softmax", "balms", "eql"]
        cb_gamma: float
        confidence_view: Literal[1, 2]
        count_view: Literal[1, 2]
        reweighting: Literal["weighted_mean", "plain_mean"]
        mini_balance: Literal["class_balanced", "plain"]
        similarity: Literal["cosine", "inner"]
        empty_mask: Literal["skip", "zero"]
        head_scale: float
        kmeans_seed: int

        def __post_init__(self) -> None:
            check_choices(self)
            require(self.mini_clusters >= 1, "mini_clusters", self.mini_clusters, "at least 1")
            require(0 < self.cb_gamma < 1, "cb_gamma", self.cb_gamma, "between 0 and 1, neither included")
            for name in ("assignment_threshold", "confidence_threshold"):
                require(0 <= getattr(self, name) < 1, name, getattr(self, name), "at least 0 and below 1")

    features: ClassVar[tuple[str, ...]] = ("target_head", "encoder")
    starts: ClassVar[Start] = "transfer"

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert parent is not None
        self.settings = settings
        embedder: Any = parent.encoder(settings.features)
        self.embedder = embedder.requires_grad_(True)
        self.target_head = Head(embedder.width, context.classes)
        self.mini_head = Head(embedder.width, settings.mini_clusters)

    @torch.no_grad()
    def prepare(self, images: Images) -> None:
        """Start both heads from K-means centres of the embeddings, biases from zero (Sec. 3.2)."""
        embeddings = images.encode(self.embedder)
        for head in (self.target_head, self.mini_head):
            centres = spherical_kmeans(embeddings, head.out_features, seed=self.settings.kmeans_seed).centres
            head.weight.copy_(self.settings.head_scale * functional.normalize(centres, dim=1))
            head.bias.zero_()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L = L_r + alpha L_m + beta L_s (Eq. 5): view 1 is trained on the labels that view 2 gives.

        ``skipped`` is 1 for a batch that ``empty_mask`` excludes, else 0; its loss and gradients are then exactly 0. An
        optimiser with moments still moves on zero gradients, so a step is only left out altogether if the
        loop hands ``skipped`` to the (fused) optimiser as its ``found_inf``.
        """
        s = self.settings
        view_1, view_2 = batch.views
        with torch.no_grad():
            target_2, mini_2 = self._logits(view_2)
        target_1, mini_1 = self._logits(view_1)

        target_labels, mini_labels = target_2.argmax(1), mini_2.argmax(1)
        target_confident = self._confident(target_1 if s.confidence_view == 1 else target_2)
        mini_confident = self._confident(mini_1 if s.confidence_view == 1 else mini_2)
        weights = self._weights(*((target_1, mini_1) if s.count_view == 1 else (target_2, mini_2)))

        loss_r = self._target_loss(target_1, target_labels, target_confident, weights)
        loss_m = mini_loss(mini_1, mini_labels, mini_confident, s.mini_balance)
        loss_s = similarity_loss(target_1, mini_1, s.similarity)
        kept = self._kept(target_confident, mini_confident)
        return {
            "loss": kept * (s.target_weight * loss_r + s.alpha * loss_m + s.beta * loss_s),
            "L_r": loss_r.detach(),
            "L_m": loss_m.detach(),
            "L_s": loss_s.detach(),
            "confident": target_confident.mean(),
            "skipped": 1 - kept,
        }

    def _logits(self, view: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embedder(view)
        return self.target_head(embedding), self.mini_head(embedding)

    def _confident(self, logits: Tensor) -> Tensor:
        """Membership in S of Eqs. 1 and 3, (B,) of zeros and ones."""
        return (logits.detach().softmax(dim=1).amax(dim=1) > self.settings.confidence_threshold).to(logits.dtype)

    def _weights(self, target_logits: Tensor, mini_logits: Tensor) -> Tensor:
        """w_k of this batch, (K,)."""
        counts = contingency(
            target_logits.argmax(1), mini_logits.argmax(1), target_logits.shape[1], mini_logits.shape[1]
        )
        rule = mini_cluster_weights if self.settings.direction == "mini" else maxi_cluster_weights
        return rule(counts, self.settings.assignment_threshold).to(target_logits.dtype)

    def _target_loss(self, logits: Tensor, labels: Tensor, confident: Tensor, weights: Tensor) -> Tensor:
        """L_r, or its alternative of App. G with n_k = M / w_k."""
        s = self.settings
        sizes = s.mini_clusters / weights
        match s.target_loss:
            case "balms":
                return plain_mean(balanced_cross_entropy(logits, labels, sizes), confident)
            case "eql":
                return plain_mean(equalized_cross_entropy(logits, labels, weights), confident)
            case "cb_softmax":
                weights = effective_number_weights(sizes, s.cb_gamma)
            case "unweighted":
                weights = torch.ones_like(weights)
        return reweighted_loss(logits, labels, confident, weights, s.reweighting)

    def _kept(self, target_confident: Tensor, mini_confident: Tensor) -> Tensor:
        """0 if the batch is to be skipped because a head that is trained has no confident image, else 1."""
        s = self.settings
        kept = torch.ones_like(target_confident[0])
        if s.empty_mask == "skip" and s.target_weight:
            kept = kept * target_confident.amax()
        if s.empty_mask == "skip" and s.alpha:
            kept = kept * mini_confident.amax()
        return kept

    def encoder(self, features: str) -> nn.Module:
        """``target_head``: embedding and logits of the target head; ``encoder``: the embedding, not normalised."""
        match features:
            case "target_head":
                return HeadedEncoder(self.embedder, self.target_head)
            case "encoder":
                return self.embedder
        raise unknown("features of MiniClustering", features, self.features)
