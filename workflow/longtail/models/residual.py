"""The residual block that networks for small images are made of (He et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, as torchvision's ``BasicBlock``, which takes long to import.

    A block that changes the width halves the image, and its shortcut is a 1x1 convolution (option B of the paper).
    """

    def __init__(self, before: int, width: int, norm_layer: Norm) -> None:
        super().__init__()
        stride = 1 if before == width else 2
        self.conv1 = nn.Conv2d(before, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = norm_layer(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = norm_layer(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Identity() if stride == 1 else self.shortcut(before, width, norm_layer)

    def shortcut(self, before: int, width: int, norm_layer: Norm) -> nn.Module:
        """The shortcut of a block that changes the width: (B, before, H, W) to (B, width, H / 2, W / 2)."""
        return nn.Sequential(nn.Conv2d(before, width, kernel_size=1, stride=2, bias=False), norm_layer(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, width, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + self.downsample(x))


def stem_of(network: Any) -> list[nn.Module]:
    """The layers before the first stage of a network whose layers carry the names of torchvision's ResNet."""
    return [network.conv1, network.bn1, network.relu, network.maxpool]


def stages_of(network: Any) -> list[nn.Module]:
    """Its stages, ``layer1`` to ``layer3`` or ``layer4``."""
    return [getattr(network, name) for name in ("layer1", "layer2", "layer3", "layer4") if hasattr(network, name)]
