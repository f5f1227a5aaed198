"""Momentum networks: copies without gradient that follow the network they were copied from (He et al. 2020)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def momentum_copy(network: nn.Module) -> nn.Module:
    """A copy of ``network`` with its own parameters, batch normalisation statistics and no gradient."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, rate: float | Tensor) -> None:
    """Move the parameters of ``target`` towards those of ``online``: theta_k <- m theta_k + (1 - m) theta_q.

    Buffers are left alone: the target runs in train mode and keeps batch normalisation statistics of its own.

    Args:
        target: the momentum network, a :func:`momentum_copy` of ``online``; changed in place.
        online: the trained network.
        rate: 1 - m, a number or a scalar tensor on the parameters' device.
    """
    targets: list[Tensor] = list(target.parameters())
    onlines: list[Tensor] = list(online.parameters())
    steps = list(torch._foreach_sub(onlines, targets))
    torch._foreach_mul_(steps, rate)
    torch._foreach_add_(targets, steps)
