"""What gates between experts learn (RIDE, Wang et al., ICLR 2021; frank-xwang/RIDE-LongTailRecognition)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from longtail.methods.losses.numerics import full_precision


def later_experts_help(means: Tensor, labels: Tensor) -> Tensor:
    """Where the first e experts are wrong, and the first e + 1, or e + 2, ..., or all n are right.

    Args:
        means: of the logits of the first 1, 2, ..., n experts, (n, B, K).
        labels: y, (B,) int64.

    Returns:
        For e = 1..n-1, (n - 1, B) bool.
    """
    right = means.detach().argmax(2) == labels
    later = right[1:].flip(0).cumsum(0).flip(0) > 0
    return ~right[:-1] & later


@full_precision
def gating(scores: Tensor, helped: Tensor, positive_weight: float) -> Tensor:
    """Binary cross-entropy of gates, averaged over gates and images; those that are helped weigh more.

    Args:
        scores: logits of the gates, (n - 1, B).
        helped: whether an image should pass, (n - 1, B) bool.
        positive_weight: of images that should.

    Returns:
        A scalar.
    """
    weight = torch.full((), positive_weight, dtype=scores.dtype, device=scores.device)
    return functional.binary_cross_entropy_with_logits(scores, helped.to(scores.dtype), pos_weight=weight)
