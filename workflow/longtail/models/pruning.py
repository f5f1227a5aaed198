"""Global magnitude pruning of convolutions (SDCLR, Jiang et al., ICML 2021; VITA-Group/SDCLR)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError


def convolution_weights(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and weight of every convolution of ``network``: all that SDCLR prunes."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            yield f"{name}.weight", module.weight


class PruningMask(nn.Module):
    """Which convolution weights of a network a pruned forward keeps; all of them until the first :meth:`refresh`.

    The masks are persistent buffers, because they are older than the weights that a checkpoint stores beside them.

    Args:
        network: what is to be pruned. It is not held: each method is given it again.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name, weight in convolution_weights(network):
            self.register_buffer(self._buffer(name), torch.ones_like(weight, dtype=torch.bool))

    @staticmethod
    def _buffer(name: str) -> str:
        return name.replace(".", "_")

    @torch.no_grad()
    def refresh(self, network: nn.Module, ratio: float) -> None:
        """Keep the weights not below element ``ceil(ratio * n)``, counted from 0, of the n sorted magnitudes.

        The threshold is global, one for all convolutions, and exact. The weights are left alone.

        Raises:
            LongtailError: if no weight would be kept.
        """
        magnitudes = torch.cat([weight.abs().flatten() for _, weight in convolution_weights(network)])
        rank = math.ceil(ratio * len(magnitudes))
        if not 0 <= rank < len(magnitudes):
            raise LongtailError(
                f"A prune ratio of {ratio} keeps none of {len(magnitudes)} convolution weights; it must be below 1."
            )
        threshold = magnitudes.kthvalue(rank + 1).values  # which counts from 1
        for name, weight in convolution_weights(network):
            self.get_buffer(self._buffer(name)).copy_(weight.abs() >= threshold)

    def masked(self, network: nn.Module) -> dict[str, Tensor]:
        """The pruned weights by name, for ``torch.func.functional_call``; no gradient reaches what is masked out."""
        return {name: weight * self.get_buffer(self._buffer(name)) for name, weight in convolution_weights(network)}
