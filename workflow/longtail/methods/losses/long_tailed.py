"""Losses of supervised long-tailed learning, driven by estimated class sizes (MiniClustering App. G).

Class sizes are numbers of mini-clusters, n_k = M / w_k with w_k of MiniClustering Eq. 2, and at least 0.5.
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
        gamma: in (0, 1); towards 1 the weights become 1 / n_k, towards 0 they become 1.
    """
    return (1 - gamma) / -torch.expm1(sizes * math.log(gamma))


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
