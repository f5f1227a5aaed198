"""Mixing the images of a batch in pairs, before the backbone or within it.

Mixup (Zhang et al., ICLR 2018; facebookresearch/mixup-cifar10) interpolates images, Manifold Mixup (Verma et al., ICML
2019; vikasverma1077/manifold_mixup) what the backbone makes of them at a depth that is drawn. As in both codes, one
lambda and one permutation serve a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def beta_variate(a: float, b: float, generator: torch.Generator) -> Tensor:
    """A draw from Beta(a, b), a float32 scalar on the device of ``generator``; nothing waits for the device.

    ``torch.distributions`` takes no generator, so it is made here the way it makes one, from gamma variates with shapes
    a and b; in float64, because both may be tiny when a and b are small.
    """
    shapes = torch.full((2,), a, dtype=torch.float64, device=generator.device)
    shapes[1:].fill_(b)
    gamma = torch._standard_gamma(shapes, generator)
    return (gamma[0] / gamma.sum()).float()


def draw_mixture(rows: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What one batch is mixed with.

    Returns:
        lambda ~ Beta(alpha, alpha), a float32 scalar, and a permutation pi of the rows, (rows,) int64.
    """
    lam = beta_variate(alpha, alpha, generator)
    return lam, torch.randperm(rows, generator=generator, device=generator.device)


def interpolate(x: Tensor, lam: Tensor, permutation: Tensor) -> Tensor:
    """The mix lambda x_i + (1 - lambda) x_pi(i) of x, (B, ...); x itself, exactly, if lambda is 1."""
    return lam * x + (1 - lam) * x[permutation]


@contextmanager
def interpolated_output(layer: nn.Module, lam: Tensor, permutation: Tensor) -> Iterator[None]:
    """Interpolate what ``layer`` puts out while the block runs."""
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: interpolate(output, lam, permutation))
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def interpolated_at_a_depth(
    backbone: Any, lam: Tensor, permutation: Tensor, generator: torch.Generator
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Mix at one depth while the block runs: images, or features after the first or second stage, one in three each.

    The depths are those of vikasverma1077/manifold_mixup for CIFAR. All of them are interpolated, those not drawn by
    lambda = 1, which changes nothing. So the draw never has to come back to the host. It is the forward hook of a stage
    that keeps the backbone from being compiled, or shared out over several GPUs, of which none has all images.

    Args:
        backbone: one with stages ``layer1`` and ``layer2``.
        lam: lambda, a scalar.
        permutation: pi, (B,) int64.
        generator: draws the depth.

    Yields:
        What images have to go through before the backbone, (B, C, H, W) to the same.
    """
    device = generator.device
    depth = torch.randint(3, (), generator=generator, device=device)
    at_input, after_first, after_second = torch.where(torch.arange(3, device=device) == depth, lam, 1.0)
    with (
        interpolated_output(backbone.layer1, after_first, permutation),
        interpolated_output(backbone.layer2, after_second, permutation),
    ):
        yield lambda images: interpolate(images, at_input, permutation)
