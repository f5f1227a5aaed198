"""ResNet-32 for images of 32x32 pixels (He et al., CVPR 2016, Section 4.2; kaidic/LDAM-DRW).

The backbone of the tables on CIFAR-LT. Other codes call other networks by this name: Megvii-Nanjing/BBN has a last
stage per branch, alinlab/M2m pads all new channels behind, google-research's logit adjustment has bottlenecks.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from longtail.models.residual import Norm, ResidualBlock


class PaddedShortcut(nn.Module):
    """Every second pixel of a map, its channels between as many zeros on either side (option A): no parameters."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.padding = (width - before) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, width, ceil(H / 2), ceil(W / 2))."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


class PaddedBlock(ResidualBlock):
    """A :class:`ResidualBlock` whose shortcut has no parameters."""

    def shortcut(self, before: int, width: int, norm_layer: Norm) -> nn.Module:
        """A :class:`PaddedShortcut`."""
        return PaddedShortcut(before, width)


class CifarResNet(nn.Module):
    """Three stages of five residual blocks behind a 3x3 convolution.

    Convolutions start from a Kaiming normal over fan-in, batch normalisation from weight 1 and bias 0. Layers carry the
    names of torchvision's ResNet, so that what looks at a stage finds it in either.

    Args:
        channels: of the images.
        norm_layer: makes the normalisation layer for a number of channels.
        widths: channels of the three stages, each an even number above the one before, or equal to it.
    """

    blocks = 5

    def __init__(
        self, channels: int = 3, norm_layer: Norm = nn.BatchNorm2d, widths: tuple[int, int, int] = (16, 32, 64)
    ) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(channels, first, kernel_size=3, padding=1, bias=False)
        self.bn1 = norm_layer(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity()
        self.layer1 = self._stage(first, first, norm_layer)
        self.layer2 = self._stage(first, second, norm_layer)
        self.layer3 = self._stage(second, third, norm_layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.width = third
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def _stage(self, before: int, width: int, norm_layer: Norm) -> nn.Sequential:
        return nn.Sequential(
            PaddedBlock(before, width, norm_layer),
            *(PaddedBlock(width, width, norm_layer) for _ in range(self.blocks - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.avgpool(self.layer3(self.layer2(self.layer1(x)))).flatten(1)
