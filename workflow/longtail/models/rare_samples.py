"""The module of RSG: centres of classes among feature maps, and what moves maps of rare ones (Jianf-Wang/RSG)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RareSampleGenerator(nn.Module):
    """Centres of each class, a transformation of what lies between a map and its centre, a judge of pairs of maps.

    Every class has its own centres, linear map and bias; centres start from 0, linear maps from N(0, 1), biases from 1.
    Convolutions start from a Kaiming normal over fan-in, the last layer of the judge from N(0, 1), their biases from 0.

    Args:
        classes: K.
        channels: C, of the maps.
        centers: n, of each class.
        contrast_width: channels within the judge.
    """

    def __init__(self, classes: int, channels: int, centers: int, contrast_width: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.zeros(classes, centers, channels))
        self.linear = nn.Parameter(torch.randn(classes, channels, centers))
        self.bias = nn.Parameter(torch.ones(classes, centers))
        self.transformation = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.contrast = nn.Sequential(
            nn.Conv2d(2 * channels, contrast_width, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(contrast_width, contrast_width, kernel_size=3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(contrast_width, 2),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                (nn.init.kaiming_normal_ if isinstance(module, nn.Conv2d) else nn.init.normal_)(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def assignments(self, maps: Tensor, labels: Tensor) -> Tensor:
        """gamma: how much each map belongs to each centre of its class, (B, C, H, W) to (B, n), rows of sum 1."""
        with torch.autocast(maps.device.type, enabled=False):  # the largest decides, and bfloat16 has ties
            pooled = maps.to(self.linear.dtype).mean((2, 3))
            return (torch.einsum("bc,bcn->bn", pooled, self.linear[labels]) + self.bias[labels]).softmax(1)

    @torch.no_grad()
    def displacements(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Of maps, (B, C, H, W), from the centre of their class to which they belong most, without gradient."""
        nearest = self.assignments(maps, labels).argmax(1)
        return maps - self.centers[labels, nearest][:, :, None, None]

    def scores(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits of "different classes" and "one class" for pairs of maps, each (P, C, H, W), to (P, 2)."""
        return self.contrast(torch.cat([first, second], dim=1))


def pairs(head: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which images of head classes lend their displacements to which of rare ones, as Jianf-Wang/RSG pairs them.

    Of h and r of them, floor(larger / smaller) times the smaller number is paired: those of the smaller group over and
    over again, those of the larger one in their order, without what is left in the end. There are B places for the
    pairs, of which so many count, so that shapes do not depend on the batch.

    Args:
        head: whether an image is of a head class, (B,) bool.

    Returns:
        For each place the positions of the head and of the rare image, and whether it counts, each (B,).
    """
    place = torch.arange(len(head), device=head.device)
    order = torch.argsort((~head).to(torch.uint8), stable=True)
    heads = head.sum()
    rare = len(head) - heads
    larger, smaller = torch.maximum(heads, rare), torch.minimum(heads, rare)
    counted = place < torch.where(smaller > 0, larger - larger % smaller.clamp(min=1), 0)
    last = len(head) - 1
    return order[place % heads.clamp(min=1)], order[(heads + place % rare.clamp(min=1)).clamp(max=last)], counted


@contextmanager
def changed_output(layer: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Pass what ``layer`` puts out through ``change`` while the block runs.

    The hook keeps the backbone from being compiled, or shared out over several GPUs, of which none has all images.
    """
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: change(output))
    try:
        yield
    finally:
        hook.remove()
