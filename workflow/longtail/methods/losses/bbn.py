"""The loss of BBN (Zhou et al., CVPR 2020; Megvii-Nanjing/BBN).

It is of images drawn uniformly and of others drawn reversely. At first the former count; alpha, the share that they
have, falls from 1 over the epochs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.numerics import full_precision


def parabolic_decay(done: Tensor) -> Tensor:
    """The share alpha = 1 - ((e - 1) / T)^2 in epoch e = 1..T, the parabolic decay of the paper as the code counts.

    Args:
        done: (e - 1) / T, the share of the epochs that are over, of any shape.

    Returns:
        alpha, of the same shape.
    """
    return 1 - done**2


@full_precision
def mixed_feature(conventional: Tensor, rebalancing: Tensor, alpha: Tensor) -> Tensor:
    """2 [alpha f_c; (1 - alpha) f_r], which goes into the classifier (Eq. 1, and a factor of the code).

    At alpha = 1/2 it is [f_c; f_r], that by which a single image is predicted.

    Args:
        conventional: f_c, of images drawn uniformly, (B, d).
        rebalancing: f_r, of images drawn reversely, (B, d).
        alpha: a scalar.

    Returns:
        (B, 2 d).
    """
    return 2 * torch.cat([alpha * conventional, (1 - alpha) * rebalancing], dim=1)


@full_precision
def bbn(logits: Tensor, conventional: Tensor, rebalancing: Tensor, alpha: Tensor) -> Tensor:
    """The loss alpha CE(s, y_c) + (1 - alpha) CE(s, y_r), of the logits that both images have together (Eq. 3).

    Args:
        logits: s, (B, K).
        conventional: y_c, (B,) int64.
        rebalancing: y_r, (B,) int64.
        alpha: a scalar.

    Returns:
        A scalar.
    """
    alpha = alpha.to(logits.dtype)
    return alpha * cross_entropy(logits, conventional) + (1 - alpha) * cross_entropy(logits, rebalancing)
