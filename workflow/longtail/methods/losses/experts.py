"""The loss of RIDE (Wang et al., ICLR 2021; frank-xwang/RIDE-LongTailRecognition).

Its experts, e = 1..n, are each trained by a loss of their own, and driven apart from their mean. How far, temperatures
say: in the code each class has one for its logit, in the paper each image has that of its class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.classification import ldam
from longtail.methods.losses.numerics import full_precision


def temperatures_of_classes(sizes: Tensor, eta: float) -> Tensor:
    """T_k = b_k / max_j b_j with b_k = eta K pi_k + 1 - eta, as the code has it.

    Args:
        sizes: n, (K,), positive, of any type.
        eta: in [0, 1); 0.05 in the code.

    Returns:
        (K,) float64, of which the largest is 1.
    """
    spread = _spread(sizes, eta)
    return spread / spread.max()


def temperatures_of_images(sizes: Tensor, eta: float) -> Tensor:
    """T_k = b_k + 1 - max_j b_j, as the paper has it, for the images of each class.

    Args:
        sizes: n, (K,), positive, of any type.
        eta: in [0, 1). Not all T are positive where it is large and classes differ much.

    Returns:
        (K,) float64, of which the largest is 1.
    """
    spread = _spread(sizes, eta)
    return spread + 1 - spread.max()


def _spread(sizes: Tensor, eta: float) -> Tensor:
    return eta * sizes.double() / sizes.double().mean() + 1 - eta


@full_precision
def divergence_by_class(logits: Tensor, temperatures: Tensor) -> Tensor:
    """Sum over experts of T^2 KL(softmax(mean of s / T) || softmax(s_e / T)), averaged over images, as in the code.

    The mean gets no gradient. T divides logit by logit; T^2 is the square of its mean.

    Args:
        logits: s_e, (n, B, K).
        temperatures: T, (K,).

    Returns:
        A scalar.
    """
    temperatures = temperatures.to(logits.dtype)
    return temperatures.mean() ** 2 * _divergence_from_mean(logits, temperatures)


@full_precision
def divergence_by_image(logits: Tensor, labels: Tensor, temperatures: Tensor) -> Tensor:
    """The same where T_y divides all logits of an image of class y, without the factor T^2, as in the paper.

    Args:
        logits: s_e, (n, B, K).
        labels: y, (B,) int64.
        temperatures: T, (K,).

    Returns:
        A scalar.
    """
    return _divergence_from_mean(logits, temperatures.to(logits.dtype)[labels][:, None])


def _divergence_from_mean(logits: Tensor, temperatures: Tensor) -> Tensor:
    each = (logits / temperatures).log_softmax(2)
    mean = (logits.detach().mean(0) / temperatures).log_softmax(1)
    return (mean.exp() * (mean - each)).sum(2).mean(1).sum()


@full_precision
def ride(
    logits: Tensor,
    labels: Tensor,
    margins: Tensor,
    diversity: float,
    divergence: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Sum over experts of LDAM(s_e, y), plus ``diversity`` times ``divergence``.

    Args:
        logits: s_e, (n, B, K), of cosine classifiers.
        labels: y, (B,) int64.
        margins: (K,), as those of :func:`~longtail.methods.losses.classification.ldam`.
        diversity: lambda; below 0, so that experts differ.
        divergence: of these logits, a scalar.
        weights: of classes, (K,), for LDAM; all 1 when None.

    Returns:
        A scalar.
    """
    individual = torch.stack([ldam(expert, labels, margins, weights) for expert in logits]).sum()
    return individual + diversity * divergence
