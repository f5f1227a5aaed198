"""TSC: targets on the sphere, as far from each other as can be, one for each class (Li et al., CVPR 2022).

Follows LTH14/targeted-supcon: target_generation.py, moco/builder.py.
"""

from __future__ import annotations

import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.key_contrast import batch_columns, batch_positives, queue_columns, queue_positives
from longtail.methods.losses.numerics import full_precision, unit


def uniformity(targets: Tensor, temperature: float = 0.07) -> Tensor:
    """L_u = mean_i log sum_j exp(t_i t_j / tau), j = i included: what targets minimise (Li et al., CVPR 2022).

    Args:
        targets: t, (K, d) unit rows.
        temperature: tau, 0.07 in LTH14/targeted-supcon.
    """
    return (targets @ targets.T / temperature).logsumexp(1).mean()


def simplex(classes: int, width: int) -> Tensor:
    """The minimum of :func:`uniformity` where K <= d + 1: K points with t_i t_j = -1 / (K - 1) for all i other than j.

    Args:
        classes: K, at least 2.
        width: d, at least K - 1. Coordinates from K - 1 on are 0.

    Returns:
        (K, d) float64, unit rows.
    """
    targets = torch.zeros(classes, width, dtype=torch.float64)
    for r in range(1, classes):  # Helmert's contrasts: orthogonal to each other, and to that of all ones
        targets[:r, r - 1] = 1 / math.sqrt(r * (r + 1))
        targets[r, r - 1] = -r / math.sqrt(r * (r + 1))
    return targets * math.sqrt(classes / (classes - 1))


def optimised(classes: int, width: int, updates: int = 10_000, device: torch.device | str = "cpu") -> Tensor:
    """The best of so many points of a descent of :func:`uniformity`, where no formula is known: K > d + 1.

    Adam at a learning rate of 0.001, from the same random start whoever asks. It computes on ``device``: the thousand
    classes of ImageNet-LT take a processor minutes.

    Returns:
        (K, d) float32, unit rows.
    """
    start = torch.randn(classes, width, generator=torch.Generator().manual_seed(0))
    points = start.to(device).requires_grad_()
    optimizer = torch.optim.Adam([points], lr=1e-3)
    best, least = unit(points.detach()), math.inf
    for _ in range(updates):
        targets = unit(points)
        energy = uniformity(targets)
        if energy.item() < least:
            best, least = targets.detach(), energy.item()
        optimizer.zero_grad()
        energy.backward()
        optimizer.step()
    return best


@torch.no_grad()
@full_precision
def moved_centroids(centroids: Tensor, embeddings: Tensor, labels: Tensor, rate: float = 0.1) -> Tensor:
    """Class centroids after a step: towards the direction of the class's mean in it, and back to length 1.

    Args:
        centroids: c, (K, d) unit rows. Those of classes without an image here stay.
        embeddings: (B, d) unit rows.
        labels: y, (B,) int64.
        rate: 0.1 in LTH14/targeted-supcon.
    """
    members = torch.arange(len(centroids), device=labels.device)[:, None] == labels
    means = unit(members.to(centroids.dtype) @ embeddings.to(centroids.dtype))
    moved = unit((1 - rate) * centroids + rate * means)
    return torch.where(members.any(1, keepdim=True), moved, centroids)


@torch.no_grad()
@full_precision
def assigned(centroids: Tensor, targets: Tensor) -> Tensor:
    """The target of each class, (K,) int64: those that together are nearest to the centroids (Hungarian algorithm).

    All K classes take part, those that were not seen yet too. This waits for the device.
    """
    similarities = (centroids @ targets.to(centroids.dtype).T).cpu().numpy()
    return torch.from_numpy(linear_sum_assignment(similarities, maximize=True)[1]).to(centroids.device)


@full_precision
def targeted(
    logits: Tensor,
    positives: Tensor,
    target_logits: Tensor,
    own_targets: Tensor,
    weight: float,
    counted: bool,
    competitors: Tensor | None = None,
) -> Tensor:
    """L_TSC: each anchor has the target of its class for a positive besides those of KCL, and all are columns.

    Args:
        logits: of KCL's columns, (B, A).
        positives: (B, A) bool, KCL's, of which each anchor has one at least.
        target_logits: similarities with the targets over tau, (B, K).
        own_targets: which target is that of an anchor's class, (B,) int64.
        weight: lambda, of the target's term alone.
        counted: whether the sum, the target's term in it, is divided by 1 + k' + 1, which counts the target fully
            (LTH14/targeted-supcon), or that of KCL's positives by 1 + k' and the target's by nothing (supplement).
        competitors: (B, A), as in :func:`~longtail.methods.losses.contrastive.contrast`; all when None.

    Returns:
        (B,), one loss per anchor.
    """
    chosen = positives.to(logits.dtype)
    count = chosen.sum(1, keepdim=True) + (1 if counted else 0)
    own = own_targets[:, None] == torch.arange(target_logits.shape[1], device=own_targets.device)
    weights = torch.cat([chosen / count, weight * own.to(logits.dtype) / (count if counted else 1)], dim=1)
    if competitors is not None:
        competitors = torch.cat([competitors, torch.ones_like(target_logits, dtype=competitors.dtype)], dim=1)
    return contrast(torch.cat([logits, target_logits], dim=1), weights, competitors, torch.ones_like(logits[:, 0]))


@full_precision
def tsc(
    query: Tensor,
    key: Tensor,
    labels: Tensor,
    past: Tensor,
    past_labels: Tensor,
    targets: Tensor,
    own_targets: Tensor,
    k: int | None,
    temperature: float,
    weight: float,
    counted: bool,
    generator: torch.Generator,
) -> Tensor:
    """:func:`targeted` contrast against a queue (LTH14/targeted-supcon, moco/builder.py, on the large sets).

    Args:
        query: q, (B, d) unit rows.
        key: k, (B, d) unit rows, without gradient.
        labels: y, (B,) int64.
        past: the queue, (Q, d) unit rows, without gradient.
        past_labels: of the queue, (Q,) int64, -1 where no key was put in yet.
        targets: t, (K, d) unit rows.
        own_targets: which of them is that of a class, (K,) int64.
        k: positives besides the own key, as in KCL.
        temperature: tau, of the targets' columns too.
        weight: lambda.
        counted: as in :func:`targeted`.
        generator: of the draw of positives.

    Returns:
        A scalar, the mean over anchors.
    """
    positives = queue_positives(labels, past_labels, k, generator)
    columns, to_targets = queue_columns(query, key, past, temperature), query @ targets.to(query.dtype).T / temperature
    return targeted(columns, positives, to_targets, own_targets[labels], weight, counted).mean()


@full_precision
def batch_tsc(
    a: Tensor,
    b: Tensor,
    labels: Tensor,
    targets: Tensor,
    own_targets: Tensor,
    k: int | None,
    temperature: float,
    weight: float,
    counted: bool,
    generator: torch.Generator,
) -> Tensor:
    """:func:`targeted` contrast among the embeddings of a batch.

    Args:
        a: embeddings of the first view, (B, d) unit rows.
        b: those of the second view, in the same order.
        labels: y, (B,) int64.
        targets: t, (K, d) unit rows.
        own_targets: which of them is that of a class, (K,) int64.
        k: positives besides the other view of the image, as in KCL.
        temperature: tau, of the targets' columns too.
        weight: lambda.
        counted: as in :func:`targeted`.
        generator: of the draw of positives.

    Returns:
        A scalar, the mean over the 2B embeddings.
    """
    positives, others = batch_positives(labels, k, generator)
    to_targets = torch.cat([a, b]) @ targets.to(a.dtype).T / temperature
    own = own_targets[labels.repeat(2)]
    columns = batch_columns(a, b, temperature)
    return targeted(columns, positives, to_targets, own, weight, counted, others).mean()
