"""M2m: images of large classes are moved over to small ones (Kim et al., CVPR 2020; alinlab/M2m)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from longtail.methods.losses.numerics import full_precision

TINY = 1e-10
"""What is added to the length of a gradient, as in the code: one of zeros makes no step."""


def acceptance(sizes: Tensor, targets: Tensor, seeds: Tensor, beta: float) -> Tensor:
    """a_ij = 1 - beta^max(n_j - n_i, 0): how likely image i of class y_i is made from image j of y_j.

    Args:
        sizes: n of each class, (K,), of any type.
        targets: classes y_i to be made, (B,) int64.
        seeds: classes y_j to start from, (S,) int64.
        beta: in [0, 1); towards 1 only much larger classes give.

    Returns:
        (B, S) float64: 0 where the seed's class is no larger.
    """
    sizes = sizes.double()
    return 1 - beta ** (sizes[seeds] - sizes[targets][:, None]).clamp(min=0)


@full_precision
def translation(generator: Tensor, trained: Tensor, targets: Tensor, seeds: Tensor, weight: float) -> Tensor:
    """CE(g(x), y) + weight f_y0(x) for each image: x is to become y, and f is to forget that it was y0.

    Args:
        generator: logits of g, (B, K).
        trained: what the network f that is trained gives, (B, K), before any scale.
        targets: y, (B,) int64.
        seeds: y0, (B,) int64.
        weight: lambda.

    Returns:
        (B,).
    """
    own = trained.gather(1, seeds[:, None]).squeeze(1)
    return functional.cross_entropy(generator, targets, reduction="none") + weight * own


def step_against(gradient: Tensor, length: float) -> Tensor:
    """The step of this length against the gradient of each image, (B, C, H, W)."""
    return -length * gradient / (gradient.flatten(1).norm(dim=1)[:, None, None, None] + TINY)


def start_noise(images: Tensor, used: Tensor, radius: float, norm_of: str, draws: torch.Generator) -> Tensor:
    """Uniform noise in +-1/2, shrunk to length ``radius`` where it is longer.

    Args:
        images: what it is like, (B, C, H, W).
        used: the images that count, (B,) bool; the others get none.
        radius: the greatest length.
        norm_of: ``image``: the length is that of each image's noise, which then lies in a ball; ``channel``: of each
            channel's in all images together, as alinlab/M2m computes it. Then it is far smaller.
        draws: the only source of randomness.

    Returns:
        (B, C, H, W).
    """
    noise = torch.rand(images.shape, dtype=images.dtype, device=images.device, generator=draws) - 0.5
    return (noise * used[:, None, None, None]).renorm(2, {"image": 0, "channel": 1}[norm_of], radius)
