"""Losses of classifiers: logits s of B images for K classes against true classes y.

Logits are those whose softmax is meant: those of a cosine classifier are multiplied by its scale before they come here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from longtail.methods.losses.numerics import full_precision


@full_precision
def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum over images of w_y CE(s, y), divided by the sum of their w_y: the weighted mean of kaidic/LDAM-DRW.

    The weights that all classes share cancel out. richardaecn/class-balanced-loss divides by the number of images.

    Args:
        logits: s, (B, K).
        labels: y, (B,) int64.
        weights: w, (K,), of any floating type, such as those of
            :func:`~longtail.methods.losses.long_tailed.class_balanced_weights`; all 1 when None.

    Returns:
        A scalar.
    """
    return functional.cross_entropy(logits, labels, None if weights is None else weights.to(logits.dtype))


@full_precision
def logit_adjusted(logits: Tensor, labels: Tensor, sizes: Tensor, tau: float = 1.0) -> Tensor:
    """CE(s + tau log pi, y) with pi_k = n_k / N (Menon et al., ICLR 2021, Eq. 10; google-research/google-research).

    With tau = 1 it is Balanced Softmax (Ren et al., NeurIPS 2020; jiawei-ren/BalancedMetaSoftmax-Classification),
    CE(s + log n, y): a constant in all logits changes nothing.

    Args:
        logits: s, (B, K).
        labels: y, (B,) int64.
        sizes: n, (K,), positive, of any type.
        tau: 0 leaves cross-entropy.

    Returns:
        A scalar, the mean over images.
    """
    prior = (sizes.double() / sizes.sum()).log().to(logits.dtype)
    return functional.cross_entropy(logits + tau * prior, labels)


def ldam_margins(sizes: Tensor, largest: float) -> Tensor:
    """Delta_k = C n_k^(-1/4), with C such that the smallest class has ``largest`` (Cao et al., NeurIPS 2019).

    Args:
        sizes: n, (K,), positive, of any type.
        largest: 0.5 in kaidic/LDAM-DRW.

    Returns:
        (K,) float64, in units of the cosine.
    """
    margins = sizes.double() ** -0.25
    return largest * margins / margins.max()


@full_precision
def ldam(logits: Tensor, labels: Tensor, margins: Tensor, weights: Tensor | None = None) -> Tensor:
    """CE_w(s - Delta_y e_y, y): the logit of the true class is lowered by its margin (Cao et al., NeurIPS 2019).

    kaidic/LDAM-DRW lowers cosines and multiplies by 30 then; these logits are multiplied, and so are their margins.

    Args:
        logits: s, (B, K), of a cosine classifier.
        labels: y, (B,) int64.
        margins: Delta, (K,), in units of the logits: the scale of the classifier times :func:`ldam_margins`.
        weights: w of :func:`cross_entropy`.

    Returns:
        A scalar.
    """
    own = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)
    return cross_entropy(torch.where(own, logits - margins.to(logits.dtype), logits), labels, weights)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of images whose largest logit is that of their class, in percent, without gradient.

    Args:
        logits: (B, K).
        labels: (B,) int64.
    """
    return 100 * (logits.detach().argmax(1) == labels).to(torch.float32).mean()
