"""The loss of RIDE (Wang et al., ICLR 2021; frank-xwang/RIDE-LongTailRecognition).

Its experts, e = 1..n, are each trained by a loss of their own, and driven apart: in the code from their mean, in the
paper from each other. How far, temperatures say: in the code each class has one for its logit, in the paper each image
has that of its class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.classification import ldam
from longtail.methods.losses.numerics import full_precision, kullback_leibler


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


def divergence_from_mean(logits: Tensor) -> Tensor:
    """Sum over experts of KL(softmax(mean of s) || softmax(s_e)), averaged over images, as in the code.

    The mean gets no gradient.

    Args:
        logits: s_e, (n, B, K), divided by their temperatures.

    Returns:
        A scalar.
    """
    each, mean = logits.log_softmax(2), logits.detach().mean(0).log_softmax(1)
    return kullback_leibler(mean, each).mean(1).sum()


def divergence_of_pairs(logits: Tensor) -> Tensor:
    """Sum over experts e of the mean of KL(softmax(s_e) || softmax(s_f)) over the others, f, averaged over images.

    As in the paper, where both sides get gradients; 0 for one expert.

    Args:
        logits: s_e, (n, B, K), divided by their temperatures.

    Returns:
        A scalar.
    """
    each = logits.log_softmax(2)
    return kullback_leibler(each[:, None], each[None]).mean(2).sum() / max(len(logits) - 1, 1)


DIVERGENCES = {"from_mean": divergence_from_mean, "of_pairs": divergence_of_pairs}
"""How far experts are from agreeing, by the name in the catalogue."""


@full_precision
def divergence_by_class(logits: Tensor, temperatures: Tensor, kind: str) -> Tensor:
    """T^2 times a divergence where T divides logit by logit, as in the code; T^2 is the square of its mean.

    Args:
        logits: s_e, (n, B, K).
        temperatures: T, (K,).
        kind: of :data:`DIVERGENCES`.

    Returns:
        A scalar.
    """
    temperatures = temperatures.to(logits.dtype)
    return temperatures.mean() ** 2 * DIVERGENCES[kind](logits / temperatures)


@full_precision
def divergence_by_image(logits: Tensor, labels: Tensor, temperatures: Tensor, kind: str) -> Tensor:
    """A divergence where T_y divides all logits of an image of class y, as in the paper, without the factor T^2.

    Args:
        logits: s_e, (n, B, K).
        labels: y, (B,) int64.
        temperatures: T, (K,).
        kind: of :data:`DIVERGENCES`.

    Returns:
        A scalar.
    """
    return DIVERGENCES[kind](logits / temperatures.to(logits.dtype)[labels][:, None])


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
