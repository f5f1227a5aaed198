"""What the objectives of the SimCLR family have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from longtail.errors import unknown
from longtail.methods.base import Context, Objective
from longtail.methods.checks import require
from longtail.models.dual_branch import DualBranchNetwork


class Contrastive(Objective):
    """A :class:`DualBranchNetwork` trained by NT-Xent; subclasses say between what.

    All of them build the same network under the same names, so each continues the others.

    The two views are two forwards with batch statistics of their own. The official code (LZX-001/ConMix) gets the
    gradient from two partial backward passes at the same parameters, which add up to the one taken here. The extra
    forward that this costs moves running statistics once more per step, which is not reproduced: those of the pruned
    branch in SDCLR, of the only branch in use elsewhere.
    """

    @dataclass(frozen=True)
    class Settings:
        """Attributes.

        temperature: tau of NT-Xent.
        projection_width: d, the dimension of the representations.
        """

        temperature: float
        projection_width: int

        def __post_init__(self) -> None:
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")

    features = ("projection", "backbone")

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        self.network = DualBranchNetwork(context.new_backbone, settings.projection_width)

    def encoder(self, features: str) -> nn.Module:
        """The dense branch: ``projection`` is the head's output, ``backbone`` its input; neither is normalised.

        ConMix clusters ``projection``. The modules are those in training, with ``width`` as an attribute.
        """
        if features == "projection":
            return self.network
        if features == "backbone":
            return self.network.backbone
        raise unknown(f"feature of {type(self).__name__}", features, self.features)
