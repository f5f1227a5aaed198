"""DiVE (He, Wu and Wei, Distilling Virtual Examples for Long-tailed Recognition, ICCV 2021).

Teacher and student are trained by Balanced Softmax. What the teacher predicts for an image is read as so many virtual
examples of each class; it is flattened, so that classes of the tail have more of them. No official code was released.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from longtail.methods.base import Batch
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.distillation import distillation
from longtail.methods.recognition.logit_adjustment import LogitAdjusted
from longtail.methods.recognition.student import Student


class DiVE(Student, LogitAdjusted):
    """Balanced Softmax for a student, and beside it the flattened prediction of the teacher."""

    @dataclass(frozen=True)
    class Settings(LogitAdjusted.Settings):
        """Hyperparameters, besides those of Balanced Softmax.

        Attributes:
            alpha: share of the teacher in the loss.
            distillation_temperature: T, that of teacher and student.
            teacher_power: p of the teacher's distribution, see :func:`distillation`.
            teacher_bn: see :class:`~longtail.methods.recognition.student.Student`.
        """

        alpha: float
        distillation_temperature: float
        teacher_power: float
        teacher_bn: Literal["train", "eval"]

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(0 <= self.alpha <= 1, "alpha", self.alpha, "between 0 and 1")
            for name in ("distillation_temperature", "teacher_power"):
                require(getattr(self, name) > 0, name, getattr(self, name), "above 0")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: (1 - alpha) CE(s + log n, y) + alpha ``distillation``; ``accuracy`` of the batch in percent."""
        images, labels, s = batch.views[0], batch.labels[0], self.settings
        _, logits = self.network(images)
        learnt = distillation(logits, self.taught(images), s.distillation_temperature, s.teacher_power)
        loss = (1 - s.alpha) * self.criterion(logits, labels) + s.alpha * learnt
        return {"loss": loss, "distillation": learnt, "accuracy": accuracy(logits, labels)}
