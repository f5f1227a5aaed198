"""Losses of classifiers on mixed images, each lambda of class y and 1 - lambda of class y'."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from longtail.methods.losses.numerics import full_precision, log_odds


@full_precision
def mixed_cross_entropy(logits: Tensor, labels: Tensor, partners: Tensor, lam: Tensor) -> Tensor:
    """Lambda CE(s, y) + (1 - lambda) CE(s, y') (Zhang et al., ICLR 2018; facebookresearch/mixup-cifar10).

    Args:
        logits: s, (B, K).
        labels: y, (B,) int64.
        partners: y', (B,) int64.
        lam: lambda, a scalar in [0, 1].

    Returns:
        A scalar, the mean over images.
    """
    return lam * functional.cross_entropy(logits, labels) + (1 - lam) * functional.cross_entropy(logits, partners)


@full_precision
def mixed_binary_cross_entropy(logits: Tensor, labels: Tensor, partners: Tensor, lam: Tensor) -> Tensor:
    """-1/(B K) sum over images and classes of t_k log p_k + (1 - t_k) log(1 - p_k), with p the softmax.

    t is lambda e_y + (1 - lambda) e_y'. This is the loss of vikasverma1077/manifold_mixup, which takes the
    probabilities of a softmax for those of K answers yes or no. There log(1 - p_k) is cut off at -100 once p_k is
    rounded to 1; here it stays what it is.

    Args and the result are those of :func:`mixed_cross_entropy`.
    """
    classes = torch.arange(logits.shape[1], device=labels.device)
    own, other = ((y[:, None] == classes).to(logits.dtype) for y in (labels, partners))
    targets = lam * own + (1 - lam) * other
    return functional.binary_cross_entropy_with_logits(log_odds(logits), targets)
