"""RIDE with distillation: a student of few experts learns from a trained network of many (Wang et al., ICLR 2021).

Follows frank-xwang/RIDE-LongTailRecognition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from longtail.methods.base import Batch
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.distillation import distillation
from longtail.methods.recognition.experts import RIDE, ReweightedRIDE
from longtail.methods.recognition.student import Student


class DistilledRIDE(Student, RIDE):
    """RIDE, and beside it the prediction of a teacher: the network that the training before it leaves."""

    @dataclass(frozen=True)
    class Settings(RIDE.Settings):
        """Hyperparameters, besides those of RIDE.

        Attributes:
            distillation_temperature: T, that of teacher and student.
            teacher_bn: see :class:`~longtail.methods.recognition.student.Student`.
        """

        distillation_temperature: float
        teacher_bn: Literal["train", "eval"]

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            temperature = self.distillation_temperature
            require(temperature > 0, "distillation_temperature", temperature, "above 0")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the ``distillation`` and ``divergence`` in it, and ``accuracy`` of the experts' mean in percent.

        The loss is n (RIDE + T^2 KL(teacher || mean of the experts)): the code adds up both terms, which are of all
        experts together, once for every expert.
        """
        images, labels = batch.views[0], batch.labels[0]
        logits = self.each(images)
        mean = logits.mean(0)
        parts = self.experts_loss(logits, labels)
        learnt = distillation(mean, self.taught(images), self.settings.distillation_temperature)
        parts["loss"] = len(logits) * (parts["loss"] + learnt)
        return {**parts, "distillation": learnt, "accuracy": accuracy(mean, labels)}


class DistilledReweightedRIDE(DistilledRIDE, ReweightedRIDE):
    """The same where classes weigh by their effective numbers, and temperatures follow their sizes."""

    @dataclass(frozen=True)
    class Settings(DistilledRIDE.Settings, ReweightedRIDE.Settings):
        """Hyperparameters of both."""
