"""BYOL: predict a momentum network's view of an image (Grill et al., NeurIPS 2020).

Two recipes are in use and differ in settings only. The pre-training of MiniClustering (LZX-001/MiniClustering) keeps
the momentum constant and moves the target after each step, as the paper does (Eq. 1). Hzzone/ProPos raises the momentum
to 1 along a cosine and moves the target within the forward pass, before the step: after the losses, so that the target
of update n has seen the online weights of update n - 1 only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.numerics import full_precision
from longtail.models.chain import Chain
from longtail.models.mlp import predictor, projector
from longtail.models.momentum import follow, momentum_copy


@full_precision
def regression_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of 2 - 2 cos between predictions and targets, in [0, 4] (Grill et al. 2020, Eq. 2).

    Args:
        prediction: h(q), (B, d), not normalised.
        target: k, (B, d), not normalised; no gradient flows into it.
    """
    return (2 - 2 * functional.cosine_similarity(prediction, target.detach(), dim=1)).mean()


def target_rate(progress: float, momentum: float, schedule: str) -> float:
    """1 - m: how far the target moves towards the online network.

    Args:
        progress: share of the clock's updates that are done.
        momentum: m at the start.
        schedule: ``constant``, or ``cosine``: m = 1 - (1 - momentum) (1 + cos(pi progress)) / 2.
    """
    return (1 - momentum) * (0.5 * (1 + math.cos(math.pi * progress)) if schedule == "cosine" else 1.0)


class BYOL(Objective):
    """Online backbone, projector and predictor, and a target backbone and projector that follow them."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of BYOL.

        Attributes:
            hidden_width: of projector and predictor.
            projection_width: d.
            target_momentum: m at the start.
            target_schedule: whether m stays or grows to 1.
            target_update: when in an update the target moves, with the momentum of that update: before the forward
                pass, after it (towards the same weights, those before the step), or after the step.
            predictor_learning_rate_scale: factor on the learning rate of the predictor.
        """

        hidden_width: int
        projection_width: int
        target_momentum: float
        target_schedule: Literal["constant", "cosine"]
        target_update: Literal["before_forward", "after_forward", "after_step"]
        predictor_learning_rate_scale: float

        def __post_init__(self) -> None:
            check_choices(self)
            require(0 <= self.target_momentum <= 1, "target_momentum", self.target_momentum, "between 0 and 1")
            for name in ("hidden_width", "projection_width"):
                require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")

    features: ClassVar[tuple[str, ...]] = ("target_projection", "projection", "backbone", "target_backbone")

    rate: Tensor

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        backbone = self._initial_backbone(context, parent)
        self.backbone = backbone
        self.projector = projector(backbone.width, settings.hidden_width, settings.projection_width)
        self.predictor = predictor(settings.projection_width, settings.hidden_width)
        self.target_backbone = momentum_copy(self.backbone)
        self.target_projector = momentum_copy(self.projector)
        # of the update at hand; a tensor, so that it lies beside the weights that it moves
        self.register_buffer("rate", torch.tensor(self._rate_at(0.0)))

    def _initial_backbone(self, context: Context, parent: Objective | None) -> Any:
        return context.new_backbone()

    def before_step(self, progress: float) -> None:
        """Set the rate for this point of the clock."""
        self.rate.fill_(self._rate_at(progress))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """:meth:`losses`; moves the target before or after, if it is then that it moves."""
        self._move_target("before_forward")
        losses = self.losses(batch)
        self._move_target("after_forward")
        return losses

    def after_step(self, progress: float) -> None:
        """Move the target, if it is now that it moves."""
        self._move_target("after_step")

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Each view predicts the target's projection of the other; the mean of both directions."""
        view_1, view_2 = batch.views
        prediction_1, prediction_2 = self.predictor(self.online(view_1)), self.predictor(self.online(view_2))
        target_1, target_2 = self.target(view_1), self.target(view_2)
        loss = regression_loss(prediction_1, target_2) + regression_loss(prediction_2, target_1)
        return {"loss": 0.5 * loss}

    def online(self, view: Tensor) -> Tensor:
        """The projection q = g_q(f_q(x)): (B, C, H, W) to (B, d)."""
        return self.projector(self.backbone(view))

    @torch.no_grad()
    def target(self, view: Tensor) -> Tensor:
        """The target's projection k = g_k(f_k(x)), without gradient: (B, C, H, W) to (B, d)."""
        return self.target_projector(self.target_backbone(view))

    def _move_target(self, now: str) -> None:
        """One step of the target towards the online network, if ``target_update`` is ``now``."""
        if self.settings.target_update != now:
            return
        follow(self.target_backbone, self.backbone, self.rate)
        follow(self.target_projector, self.projector, self.rate)

    def _rate_at(self, progress: float) -> float:
        return target_rate(progress, self.settings.target_momentum, self.settings.target_schedule)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Backbone and projector, and the predictor with a learning rate of its own."""
        scale = self.settings.predictor_learning_rate_scale
        return [
            {"params": [*self.backbone.parameters(), *self.projector.parameters()], "learning_rate_scale": 1.0},
            {"params": list(self.predictor.parameters()), "learning_rate_scale": scale},
        ]

    def encoder(self, features: str) -> nn.Module:
        """Backbone, or backbone and projector, of the online or the target network; outputs are not normalised."""
        match features:
            case "target_projection":
                return Chain(self.target_backbone, self.target_projector, width=self.settings.projection_width)
            case "projection":
                return Chain(self.backbone, self.projector, width=self.settings.projection_width)
            case "backbone":
                return self.backbone
            case "target_backbone":
                return self.target_backbone
        raise unknown("features of BYOL", features, self.features)
