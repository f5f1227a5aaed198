"""The loss of LADE (Hong et al., CVPR 2021; hyperconnect/LADE): logits learn to be independent of the class shares."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.numerics import full_precision


@full_precision
def lade_regularizer(logits: Tensor, labels: Tensor, sizes: Tensor, remine_lambda: float) -> Tensor:
    """R = -sum_k pi_k (t_k - r_k - lambda r_k^2), a bound on divergences of p(x | k) from p(x).

    t_k is the mean of the logits s_k over the batch's images of class k, 0 where it has none, and r_k the logarithm of
    the mean of exp(s_k) / (K pi_k) over all of them: the first takes the logits as they are, the second shifts them.
    The r_k of absent classes count.

    Args:
        logits: s, (B, K).
        labels: (B,) int64.
        sizes: n, (K,), positive, of any type; pi_k is the share n_k / N.
        remine_lambda: lambda.

    Returns:
        A scalar.
    """
    rows, classes = logits.shape
    shares = (sizes.double() / sizes.sum()).to(logits.dtype)
    own = (labels[:, None] == torch.arange(classes, device=labels.device)).to(logits.dtype)
    # The code has 1e-8 more in this divisor. Without images of a class the numerator is 0 too.
    t = (own * logits).sum(0) / own.sum(0).clamp(min=1)
    r = (logits - shares.log() - math.log(classes)).logsumexp(0) - math.log(rows)
    return -(shares * (t - r - remine_lambda * r.square())).sum()


@full_precision
def lade(logits: Tensor, labels: Tensor, sizes: Tensor, alpha: float, remine_lambda: float) -> Tensor:
    """CE(s + log pi, y) + alpha R: with alpha = 0 it is Balanced Softmax.

    Args:
        logits: s, (B, K).
        labels: y, (B,) int64.
        sizes: n, (K,), positive, of any type.
        alpha: weight of :func:`lade_regularizer`.
        remine_lambda: its lambda.

    Returns:
        A scalar.
    """
    return logit_adjusted(logits, labels, sizes) + alpha * lade_regularizer(logits, labels, sizes, remine_lambda)
