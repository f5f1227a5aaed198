"""Coresets: the few images of each class that stand for it (GLISTER; Killamsetty et al., AAAI 2021).

Follows decile-team/cords as its CIFAR configurations have it: last-layer gradients of the logits alone, each class for
itself, one image after another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def coreset_sizes(sizes: Tensor, share: float, least: int) -> Tensor:
    """Images of each class: ``share`` of them, but at least ``least``, or all where a class has fewer, (K,) int64.

    Args:
        sizes: n, (K,) int64.
        share: in [0, 1].
        least: at least 1.
    """
    return (sizes.double() * share).round().long().clamp(min=least).minimum(sizes)


def glister(logits: Tensor, labels: Tensor, budget: int, rate: float) -> Tensor:
    """Which images a classifier would best be trained on next, chosen one by one (Killamsetty et al., Alg. 1).

    With g_j the gradient of the loss of image j in its logits, the chosen is argmax over e of <g_e, mean_v g_v>, where
    v are the images themselves and the g_v are taken after a step of ``rate`` along those already chosen.

    Args:
        logits: s, (n, K), of the classifier.
        labels: y, (n,) int64.
        budget: how many, at most n.
        rate: eta.

    Returns:
        Positions in the order of choice, (budget,) int64.
    """
    logits, truth = logits.double(), one_hot(labels, logits.shape[1])
    gradients = logits.softmax(1) - truth
    step, taken = torch.zeros_like(logits[0]), torch.zeros_like(logits[:, 0])
    chosen = []
    for _ in range(budget):
        ahead = ((logits - rate * step).softmax(1) - truth).mean(0)
        best = (gradients @ ahead - taken).argmax()
        taken[best] = torch.inf
        step = step + gradients[best]
        chosen.append(best)
    return torch.stack(chosen)


def class_coresets(logits: Tensor, sizes: Sequence[int], counts: Sequence[int], rate: float) -> Tensor:
    """:func:`glister` of each class, for which its own images are also those it is judged by.

    Args:
        logits: s, (N, K), of rows that are sorted by class.
        sizes: n, of each class.
        counts: how many are chosen of each.
        rate: eta.

    Returns:
        Rows, sorted by class, (sum of counts,) int64.
    """
    starts, chosen = 0, []
    for label, (part, count) in enumerate(zip(logits.split(list(sizes)), counts, strict=True)):
        chosen.append(starts + glister(part, torch.full_like(part[:, 0], label, dtype=torch.int64), count, rate))
        starts += len(part)
    return torch.cat(chosen)
