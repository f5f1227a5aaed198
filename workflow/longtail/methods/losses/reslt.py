"""The loss of ResLT (Cui et al., TPAMI 2022; jiequancui/ResLT): branches for all, fewer, and the rarest classes."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.numerics import full_precision

FLOOR = 1e-7
"""What probabilities are raised by before their logarithm is taken."""


@full_precision
def individual(logits: Tensor, labels: Tensor, first_classes: tuple[int, ...], places: Tensor | None = None) -> Tensor:
    """I, the mean of -log(p_y + 1e-7) over all images that a branch learns from, over all branches.

    Args:
        logits: of each branch, (n, B, K); p is the softmax.
        labels: y, (B,) int64.
        first_classes: of each branch the first class that it learns from; the first branch learns from all.
        places: of each image that of its class among all, (B,) int64, where classes are not sorted by size: a branch
            then learns from the classes from its first place on.

    Returns:
        A scalar.
    """
    own = _own(logits, labels)
    taking = torch.stack([(labels if places is None else places) >= first for first in first_classes])
    return torch.where(taking, -(own + FLOOR).log(), 0).sum() / taking.sum()


def _own(logits: Tensor, labels: Tensor) -> Tensor:
    """The probability of each image's class by each branch, (n, B)."""
    return logits.softmax(2).gather(2, labels.expand(len(logits), -1)[:, :, None]).squeeze(2)


@full_precision
def reslt(
    logits: Tensor,
    labels: Tensor,
    first_classes: tuple[int, ...],
    beta: float,
    places: Tensor | None = None,
    floored: bool = False,
) -> Tensor:
    """The loss beta I + (1 - beta) F, where F is the cross-entropy of the sum of the branches' logits.

    Args:
        logits: of each branch, (n, B, K).
        labels: y, (B,) int64.
        first_classes: as of :func:`individual`.
        beta: in [0, 1].
        places: as of :func:`individual`.
        floored: whether F is of -log(p_y + 1e-7), too, as in the code for ImageNet-LT.

    Returns:
        A scalar.
    """
    together = logits.sum(0)
    fused = -(_own(together[None], labels) + FLOOR).log().mean() if floored else cross_entropy(together, labels)
    return beta * individual(logits, labels, first_classes, places) + (1 - beta) * fused
