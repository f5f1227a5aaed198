"""The loss of RIDE (Wang et al., ICLR 2021; frank-xwang/RIDE-LongTailRecognition), without routing and distillation.

Its experts, e = 1..n, are each trained by a loss of their own, and driven apart from their mean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.classification import ldam
from longtail.methods.losses.numerics import full_precision


def diversity_temperatures(sizes: Tensor, eta: float) -> Tensor:
    """T_k = (eta K pi_k + 1 - eta), divided by the largest of them.

    The paper has a temperature per image, of its class; in the code, which is followed, every image has all of them,
    one per logit.

    Args:
        sizes: n, (K,), positive, of any type.
        eta: in [0, 1); 0.05 in the code.

    Returns:
        (K,) float64, of which the largest is 1.
    """
    temperatures = eta * sizes.double() / sizes.double().mean() + 1 - eta
    return temperatures / temperatures.max()


@full_precision
def divergence_from_mean(logits: Tensor, temperatures: Tensor) -> Tensor:
    """Sum over experts of T^2 KL(softmax(mean of s / T) || softmax(s_e / T)), averaged over images.

    The mean gets no gradient. T divides logit by logit; T^2 is the square of its mean.

    Args:
        logits: s_e, (n, B, K).
        temperatures: T, (K,).

    Returns:
        A scalar.
    """
    temperatures = temperatures.to(logits.dtype)
    each = (logits / temperatures).log_softmax(2)
    mean = (logits.detach().mean(0) / temperatures).log_softmax(1)
    divergence = (mean.exp() * (mean - each)).sum(2).mean(1)
    return temperatures.mean() ** 2 * divergence.sum()


@full_precision
def ride(
    logits: Tensor,
    labels: Tensor,
    margins: Tensor,
    diversity: float,
    temperatures: Tensor,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum over experts of LDAM(s_e, y), plus ``diversity`` times :func:`divergence_from_mean`.

    Args:
        logits: s_e, (n, B, K), of cosine classifiers.
        labels: y, (B,) int64.
        margins: (K,), as those of :func:`~longtail.methods.losses.classification.ldam`.
        diversity: lambda; below 0, so that experts differ.
        temperatures: T, (K,).
        weights: of classes, (K,), for LDAM; all 1 when None.

    Returns:
        The loss, and the divergence in it.
    """
    individual = torch.stack([ldam(expert, labels, margins, weights) for expert in logits]).sum()
    divergence = divergence_from_mean(logits, temperatures)
    return individual + diversity * divergence, divergence
