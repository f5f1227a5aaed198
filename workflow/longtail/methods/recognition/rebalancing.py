"""Second stages that go on with a trained network on another sampler, with that network as their teacher.

The classifier rebalancing of ICCL (Tiong et al., PRL 2023, Section 3.5). On CIFAR the encoder is fine-tuned too, on the
large sets it is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context, Objective, Start
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy, cross_entropy
from longtail.methods.losses.distillation import distillation
from longtail.methods.recognition.classification import Classification
from longtail.methods.recognition.two_stage import first_stage
from longtail.models.momentum import momentum_copy


class Rebalancing(Classification):
    """Eq. 9: (1 - omega_d) CE(s, y) + omega_d tau_d^2 KL(teacher || student).

    Attributes:
        teacher: images to the pair (feature, logits), the whole first stage as it was, without gradient, in eval mode.
            It sees the same augmented images. Of an encoder that stays as it was the teacher has the same feature:
            then it is the classifier alone.
    """

    @dataclass(frozen=True)
    class Settings:
        """How much is learnt from the teacher, and by what.

        Attributes:
            distillation_weight: omega_d, in [0, 1]; 0 leaves cross-entropy.
            distillation_temperature: tau_d, that of teacher and student.
            frozen_bn: mode of the batch normalisation of an encoder that learns no more, as in
                :class:`~longtail.methods.recognition.two_stage.SecondStage`; without it the encoder learns, too.
        """

        distillation_weight: float
        distillation_temperature: float
        frozen_bn: Literal["train", "eval"] | None = None

        def __post_init__(self) -> None:
            require(self.frozen_bn in (None, "train", "eval"), "frozen_bn", self.frozen_bn, "train, eval, or left out")
            weight, temperature = self.distillation_weight, self.distillation_temperature
            require(0 <= weight <= 1, "distillation_weight", weight, "from 0 to 1")
            require(temperature > 0, "distillation_temperature", temperature, "above 0")

    starts: ClassVar[Start] = "transfer"

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.teacher = momentum_copy(self.network.head if settings.frozen_bn == "eval" else self.network)

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """That of the first stage, which learns on unless it is frozen."""
        return first_stage(parent)[0].requires_grad_(self.settings.frozen_bn is None)

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """That of the first stage, which learns on.

        Raises:
            LongtailError: if it has none.
        """
        classifier = first_stage(parent)[1]
        if classifier is None:
            raise LongtailError(
                "Rebalancing goes on with a trained classifier: put a step such as iccl or ce before it in the recipe."
            )
        return classifier

    def train(self, mode: bool = True) -> Self:
        """Train mode for the student alone, and of that not for an encoder that is frozen as it is."""
        super().train(mode)
        self.teacher.eval()
        if self.settings.frozen_bn == "eval":
            self.network.embedder.eval()
        return self

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the ``distillation`` in it, and ``accuracy`` of the batch in percent."""
        images, labels = batch.views[0], batch.labels[0]
        h, logits = self.network(images)
        with torch.no_grad():
            target = self.teacher(h) if self.settings.frozen_bn == "eval" else self.teacher(images)[1]
        learnt = distillation(logits, target, self.settings.distillation_temperature)
        share = self.settings.distillation_weight
        loss = (1 - share) * cross_entropy(logits, labels) + share * learnt
        return {"loss": loss, "distillation": learnt, "accuracy": accuracy(logits, labels)}
