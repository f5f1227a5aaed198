"""The loss of ResLT (Cui et al., TPAMI 2022; jiequancui/ResLT): branches for all, fewer, and the rarest classes."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.numerics import full_precision


@full_precision
def individual(logits: Tensor, labels: Tensor, first_classes: tuple[int, ...]) -> Tensor:
    """I, the mean of -log(p_y + 1e-7) over all images that a branch learns from, over all branches.

    Args:
        logits: of each branch, (n, B, K); p is the softmax.
        labels: y, (B,) int64.
        first_classes: of each branch the first class that it learns from; the first branch learns from all.

    Returns:
        A scalar.
    """
    own = logits.softmax(2).gather(2, labels.expand(len(logits), -1)[:, :, None]).squeeze(2)
    taking = torch.stack([labels >= first for first in first_classes])
    return torch.where(taking, -(own + 1e-7).log(), 0).sum() / taking.sum()


@full_precision
def reslt(logits: Tensor, labels: Tensor, first_classes: tuple[int, ...], beta: float) -> Tensor:
    """The loss beta I + (1 - beta) F, where F is the cross-entropy of the sum of the branches' logits.

    Args:
        logits: of each branch, (n, B, K).
        labels: y, (B,) int64.
        first_classes: as of :func:`individual`.
        beta: in [0, 1].

    Returns:
        A scalar.
    """
    fused = cross_entropy(logits.sum(0), labels)
    return beta * individual(logits, labels, first_classes) + (1 - beta) * fused
