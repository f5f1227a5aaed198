"""ICCL: images pick the centroids of their classes, also between two classes (Tiong et al., PRL 2023). No code exists.

An image between x^h and x^t is of class y^h to the share lambda and of y^t to the rest. Eq. 5 is the contrast of
:mod:`~longtail.methods.losses.contrastive` with such shares, whose columns are centroids; Eq. 7 is the cross-entropy of
:mod:`~longtail.methods.losses.mixup`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.numerics import full_precision


def shares(first: Tensor, second: Tensor, share: Tensor | float, classes: int) -> Tensor:
    """The share lambda for the class y^h and 1 - lambda for y^t, added up where they are the same class.

    Args:
        first: y^h, (B,) int64.
        second: y^t, (B,) int64.
        share: lambda in [0, 1], of all images.
        classes: K.

    Returns:
        (B, K) float64, rows that add up to 1.
    """
    one, other = (_members(labels, classes, torch.float64) for labels in (first, second))
    return share * one + (1 - share) * other


@full_precision
def centroid_contrast(z: Tensor, centroids: Tensor, shares: Tensor, temperature: float) -> Tensor:
    """- sum_k q_k log p(c^k | x), with p(c^k | x) = softmax_k(z . c^k / tau): Eq. 4 and 5, averaged over images.

    With one-hot shares it is L_cc of the warm-up. Centroids get no gradient.

    Args:
        z: (B, d), of length 1.
        centroids: c, (K, d), of any length.
        shares: q, (B, K), those of :func:`shares`.
        temperature: tau.

    Returns:
        A scalar.
    """
    return contrast(z @ centroids.detach().to(z.dtype).T / temperature, shares).mean()


@full_precision
def image_by_image(centroids: Tensor, z: Tensor, labels: Tensor, momentum: float) -> Tensor:
    """c^y <- m c^y + (1 - m) z for one image after the other, in closed form.

    Eq. 1, read as in salesforce/MoPro: a class with z_1 .. z_r in the batch gets m^r c + (1 - m) sum_j m^(r - j) z_j,
    and one that is absent keeps its centroid. A centroid of zeros has seen no image, and becomes its first.

    Args:
        centroids: c, (K, d).
        z: (B, d), of length 1.
        labels: y, (B,) int64.
        momentum: m, in [0, 1).

    Returns:
        The moved centroids, (K, d).
    """
    members = _members(labels, len(centroids), z.dtype)
    counted = members.cumsum(0)
    place = (members * counted).sum(1)  # j of each image, from 1
    count = counted[-1]
    first = (place == 1) & ~centroids.any(1)[labels]
    weights = torch.where(first, torch.ones_like(place), 1 - momentum) * momentum ** (count[labels] - place)
    return momentum ** count[:, None] * centroids + (members * weights[:, None]).T @ z


@full_precision
def batch_sum(centroids: Tensor, z: Tensor, labels: Tensor, momentum: float) -> Tensor:
    """c^k <- m c^k + (1 - m) sum of the z of class k in the batch: Eq. 1 to the letter, but for its index of summation.

    Lengths then grow with the frequency of a class, and those of absent classes shrink.

    Args:
        centroids: c, (K, d).
        z: (B, d), of length 1.
        labels: y, (B,) int64.
        momentum: m, in [0, 1).

    Returns:
        The moved centroids, (K, d).
    """
    members = _members(labels, len(centroids), z.dtype)
    return momentum * centroids + (1 - momentum) * members.T @ z


def _members(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """1 where an image is of a class, (B, K); ``one_hot`` of torch would wait for the largest label."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).to(dtype)
