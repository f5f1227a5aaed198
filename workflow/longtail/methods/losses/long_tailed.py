"""Losses of supervised long-tailed learning per image, and the weights of classes, from the sizes of classes.

MiniClustering (App. G) feeds them estimates: numbers of mini-clusters, n_k = M / w_k with w_k of its Eq. 2, and at
least 0.5. Recognition knows the sizes, see :mod:`longtail.methods.losses.classification`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def effective_number_weights(sizes: Tensor, gamma: float) -> Tensor:
    """(1 - gamma) / (1 - gamma^n_k), the weights of CB-Softmax (MiniClustering Eq. 7; Cui et al., CVPR 2019).

    Args:
        sizes: n_k, (K,), positive.
        gamma: in [0, 1); towards 1 the weights become 1 / n_k, at 0 they are 1.
    """
    return (1 - gamma) / -torch.expm1(sizes * (math.log(gamma) if gamma > 0 else -math.inf))


def class_balanced_weights(sizes: Tensor, beta: float) -> Tensor:
    """:func:`effective_number_weights`, scaled to sum up to K (Cui et al., CVPR 2019; kaidic/LDAM-DRW).

    Args:
        sizes: n_k, (K,), positive, of any type.
        beta: in [0, 1).

    Returns:
        (K,) float64, whose mean is 1: rounding would show in the weights of large classes.
    """
    weights = effective_number_weights(sizes.double(), beta)
    return weights / weights.mean()


def generalized_weights(sizes: Tensor, rho: float) -> Tensor:
    """pi_k^(-rho) with pi_k = n_k / N, scaled to sum up to K (Zhang et al., DisAlign; Megvii-BaseDetection/cvpods).

    Args:
        sizes: n_k, (K,), positive, of any type.
        rho: 0 leaves all classes alike, 1 makes the weights 1 / n_k.

    Returns:
        (K,) float64, whose mean is 1.
    """
    weights = (sizes.double() / sizes.sum()) ** -rho
    return weights / weights.mean()


def balanced_cross_entropy(logits: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """Cross-entropy of the softmax weighted by class share, BALMS (MiniClustering Eq. 8; Ren et al., NeurIPS 2020).

    Args:
        logits: z, (B, K).
        labels: (B,) int64.
        sizes: n_k, (K,); pi_k is its share.

    Returns:
        (B,), one loss per row.
    """
    return functional.cross_entropy(logits + (sizes / sizes.sum()).log(), labels, reduction="none")


def equalized_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """-z_y + log sum_j w_j exp(z_j), EQL (MiniClustering Eq. 9; Tan et al., CVPR 2020).

    Eq. 9 is no distribution over classes. Its gradient is softmax(z + log w) - onehot(y): logits are shifted by log w,
    where BALMS shifts them by -log w. The paper has the two in opposite directions.

    Args:
        logits: z, (B, K).
        labels: (B,) int64.
        weights: w_k, (K,), positive.

    Returns:
        (B,), one loss per row.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    return torch.logsumexp(logits + weights.log(), dim=1) - own
