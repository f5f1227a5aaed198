"""Focal losses: the surer a classifier is of the right answer, the less it counts.

Probabilities come as log-odds m, p = sigmoid(m). With them (1 - p)^gamma is exp(-gamma softplus(m)), which has a
gradient everywhere: a power of 1 - p below 1 has none where p rounds to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from longtail.methods.losses.numerics import full_precision, log_odds


@full_precision
def focal(logits: Tensor, labels: Tensor, gamma: float, weights: Tensor | None = None) -> Tensor:
    """1/B sum over images of -w_y (1 - p_y)^gamma log p_y, with p the softmax (Lin et al., ICCV 2017, Eq. 4).

    Without weights this is the focal loss of kaidic/LDAM-DRW. With gamma = 0 it is the class-balanced softmax loss of
    richardaecn/class-balanced-loss (Cui et al., CVPR 2019, Sec. 4.1): divided by the number of images, where
    :func:`~longtail.methods.losses.classification.cross_entropy` divides by the sum of their weights. So weights that
    all classes share do not cancel out here.

    Args:
        logits: s, (B, K).
        labels: y, (B,) int64.
        gamma: at least 0; 0 leaves cross-entropy.
        weights: w, (K,), of any floating type; all 1 when None. They stand outside of the modulating factor.

    Returns:
        A scalar.
    """
    return _mean(_modulated(log_odds(logits).gather(1, labels[:, None]), gamma), labels, weights)


@full_precision
def sigmoid_focal(logits: Tensor, labels: Tensor, gamma: float, weights: Tensor | None = None) -> Tensor:
    """The same for K answers yes or no: 1/B sum over images of -w_y sum_k (1 - p_k)^gamma log p_k.

    p_k is the probability of the right answer to whether the image is of class k, sigmoid(s_k) if it is and
    sigmoid(-s_k) if not (Cui et al., CVPR 2019, Sec. 4.3; richardaecn/class-balanced-loss). All K answers of an image
    have the weight of its class.

    Args:
        logits: s, (B, K).
        labels: y, (B,) int64.
        gamma: at least 0.
        weights: w, (K,), of any floating type; all 1 when None.

    Returns:
        A scalar.
    """
    own = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)
    return _mean(_modulated(torch.where(own, logits, -logits), gamma), labels, weights)


def _modulated(odds: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p, entry by entry."""
    return torch.exp(-gamma * functional.softplus(odds)) * functional.softplus(-odds)


def _mean(losses: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """1/B sum_i w_(y_i) sum_k of ``losses``, (B, any)."""
    each = losses.sum(1)
    return (each if weights is None else weights.to(each.dtype)[labels] * each).mean()
