"""Residual networks without their classifier (He et al., CVPR 2016), as the papers use them.

``resnet32`` is described in ``longtail.models.cifar_resnet``. In the others, convolutions start from a Kaiming normal
over fan-out, batch normalisation from weight 1 and bias 0, with momentum 0.1 and eps 1e-5; the last normalisation of a
block is not zeroed. That includes the 3x3 stem, as in the code of SDCLR and ConMix. (In LZX-001/MiniClustering that one
layer keeps PyTorch's uniform start; batch normalisation follows it, so only its effective learning rate differs, and no
second stem is kept for it.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from longtail.errors import LongtailError, unknown
from longtail.models.cifar_resnet import CifarResNet
from longtail.models.experts import LATE_WIDTH, ExpertTrunk
from longtail.models.residual import Norm, ResidualBlock


class SmallResNet(nn.Module):
    """Three stages of one residual block, for images of 8x8 pixels.

    Layers carry the names of torchvision's ResNet, so that what looks at a stage finds it in either.
    """

    def __init__(self, norm_layer: Norm = nn.BatchNorm2d, widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(3, first, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool: nn.Module = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = ResidualBlock(first, first, norm_layer)
        self.layer2 = ResidualBlock(first, second, norm_layer)
        self.layer3 = ResidualBlock(second, third, norm_layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.width = third
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.avgpool(self.layer3(self.layer2(self.layer1(x)))).flatten(1)


def _torchvision(name: str) -> Callable[..., nn.Module]:
    def build(stem: str, channels: int, norm: Norm, late_width: float) -> nn.Module:
        from torchvision.models import resnet

        network = getattr(resnet, name)(norm_layer=norm)
        if late_width != 1:
            _set_late_width(network, late_width)
        network.width = network.inplanes  # channels of the last stage
        network.fc = nn.Identity()
        return _with_stem(network, stem, channels)

    return build


def _set_late_width(network: Any, share: float) -> None:
    """Give the last two stages of one of torchvision's networks ``share`` of their width."""
    network.inplanes = network.layer3[0].conv1.in_channels
    for name, width in (("layer3", 256), ("layer4", 512)):
        stage = getattr(network, name)
        narrow = network._make_layer(type(stage[0]), round(share * width), len(stage), stride=2)
        for module in narrow.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        setattr(network, name, narrow)


def _small(stem: str, channels: int, norm: Norm, late_width: float) -> nn.Module:
    return _with_stem(SmallResNet(norm, _widths(late_width)), stem, channels)


def _widths(late_width: float) -> tuple[int, int, int]:
    """Channels of the three stages of a network for small images."""
    return 16, round(32 * late_width), round(64 * late_width)


def _with_stem(network: Any, stem: str, channels: int) -> nn.Module:
    """``network`` with the stem and the channels asked for."""
    if stem == "cifar":
        network.maxpool = nn.Identity()
    kernel, stride = (3, 1) if stem == "cifar" else (7, 2)
    width = network.conv1.out_channels
    network.conv1 = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return network


def _resnet32(stem: str, channels: int, norm: Norm, late_width: float) -> nn.Module:
    if stem != "cifar":
        raise LongtailError(
            f"The backbone resnet32 is made for images of 32x32 pixels and has no stem {stem!r}. Give it the stem "
            f"cifar, or take resnet18."
        )
    return CifarResNet(channels, norm, _widths(late_width))


BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "resnet18": _torchvision("resnet18"),
    "resnet32": _resnet32,
    "resnet50": _torchvision("resnet50"),
    "resnet152": _torchvision("resnet152"),
    "resnext50": _torchvision("resnext50_32x4d"),
    "resnet_small": _small,
}
"""By the names in ``backbones.yaml`` of the catalogue, which has each of them."""
STEMS = ("cifar", "imagenet")


def new_backbone(
    name: str, stem: str, channels: int, norm: Norm = nn.BatchNorm2d, experts: int | None = None
) -> nn.Module:
    """A freshly initialised backbone.

    Args:
        name: ``resnet18``, ``resnet50``, ``resnet152`` and ``resnext50``, of 32 groups of 4 channels, are torchvision's
            without the classifier; ``resnet32`` is that of CIFAR, ``resnet_small`` that of the digits.
        stem: ``imagenet`` is a 7x7 convolution of stride 2 and a max-pool, ``cifar`` a 3x3 convolution of stride 1
            and no pool (ConMix App. A).
        channels: of the images.
        norm: makes the normalisation layer for a number of channels.
        experts: how many experts share the first stages; each has last two stages of its own, of three quarters of
            their usual width, a single one too (RIDE). None is the backbone as it is.

    Returns:
        A module that maps (B, channels, H, W) to (B, width), with ``width`` as an attribute: 512, 64, 2048, 2048, 2048
        or 64, in the order of :data:`BACKBONES`. With experts it is an :class:`~longtail.models.experts.ExpertTrunk`,
        and each of them adds three quarters of that to the width.

    Raises:
        LongtailError: for a name or a stem that does not exist, a stem that this backbone does not have, or fewer
            experts than one.
    """
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    if stem not in STEMS:
        raise unknown("stem", stem, STEMS)
    if experts is None:
        return BACKBONES[name](stem, channels, norm, 1)
    if experts < 1:
        raise LongtailError(f"A backbone cannot have {experts} experts. Let experts be at least 1.")
    return ExpertTrunk([BACKBONES[name](stem, channels, norm, LATE_WIDTH) for _ in range(experts)])
