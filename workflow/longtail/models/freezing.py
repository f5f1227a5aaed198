"""Parts of a pre-trained backbone that learn no more.

On Places-LT, which is small for a ResNet-152, official codes train on from weights of ImageNet and leave most of those
as they are: PaCo all convolutions before the last block (dvlab-research/Parametric-Contrastive-Learning,
PaCo/LT/paco_fp16_places.py), MiSLAS everything before it (dvlab-research/MiSLAS, models/resnet_places.py).

What is frozen has no gradient, so that neither momentum nor weight decay moves it.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def last_block(backbone: nn.Module) -> Any:
    """The last residual block of the last stage; stages are called as torchvision calls them (``layer4``)."""
    stage = max((name, child) for name, child in backbone.named_children() if name.startswith("layer"))[1]
    return stage[-1] if isinstance(stage, nn.Sequential) else stage


def freeze_convolutions(backbone: nn.Module) -> None:
    """Freeze all convolutions but the last block's; every batch normalisation learns, and its statistics move."""
    learning = set(last_block(backbone).modules())
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and module not in learning:
            module.requires_grad_(False)


def replace_last_block(backbone: nn.Module) -> None:
    """Freeze everything but the last block, and start that anew, as PyTorch starts single layers.

    dvlab-research/MiSLAS makes the block by itself, where no start of the network reaches it.
    """
    block = last_block(backbone)
    backbone.requires_grad_(False)
    block.requires_grad_(True)
    for module in block.modules():
        if isinstance(module, nn.Conv2d | _BatchNorm):
            module.reset_parameters()


def keep_statistics(backbone: nn.Module) -> None:
    """Have all that is before the last block in eval mode, whatever mode the block is in."""
    block = last_block(backbone)
    mode = block.training
    backbone.eval()
    block.train(mode)
