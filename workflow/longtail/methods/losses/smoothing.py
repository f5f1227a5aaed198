"""Label-aware smoothing (Zhong et al., MiSLAS, CVPR 2021): the larger a class, the softer the targets of its images."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from longtail.methods.losses.numerics import full_precision

Spread = Literal["all", "others"]


def smoothing_factors(sizes: Tensor, head: float, tail: float) -> Tensor:
    """epsilon_k = tail + (head - tail) sin(pi (n_k - n_min) / (2 (n_max - n_min))), the concave form of MiSLAS.

    Args:
        sizes: n, (K,), of any type. Where all are equal, which dvlab-research/MiSLAS cannot take, all are ``tail``.
        head: epsilon of the largest class.
        tail: that of the smallest.

    Returns:
        (K,) float64.
    """
    above = sizes.double() - sizes.min()
    return tail + (head - tail) * (math.pi / 2 * above / above.max().clamp(min=1)).sin()


@full_precision
def label_aware_smoothing(logits: Tensor, labels: Tensor, factors: Tensor, spread: Spread) -> Tensor:
    """-sum_k t_k log p_k with t_y = 1 - epsilon_y, and epsilon_y spread over classes (dvlab-research/MiSLAS).

    Args:
        logits: s, (B, K).
        labels: y, (B,) int64.
        factors: epsilon, (K,), in [0, 1], of any floating type. Where all are 0 this is cross-entropy.
        spread: over what: ``all`` classes have epsilon_y / K more, the true one too, in dvlab-research/MiSLAS;
            ``others`` have epsilon_y / (K - 1) in the paper.

    Returns:
        A scalar, the mean over images.
    """
    surprise = -logits.log_softmax(1)
    own = surprise.gather(1, labels[:, None]).squeeze(1)
    epsilon = factors.to(logits.dtype)[labels]
    count = logits.shape[1]
    rest = surprise.mean(1) if spread == "all" else (surprise.sum(1) - own) / (count - 1)
    return torch.lerp(own, rest, epsilon).mean()
