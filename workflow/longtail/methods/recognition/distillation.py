"""RIDE with distillation: a student of few experts learns from a trained network of many (Wang et al., ICLR 2021).

Follows frank-xwang/RIDE-LongTailRecognition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context, Objective, Start
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.distillation import distillation
from longtail.methods.recognition.experts import RIDE, ReweightedRIDE
from longtail.models.headed import HeadedEncoder


class DistilledRIDE(RIDE):
    """RIDE, and beside it the prediction of a teacher: the network that the training before it leaves.

    Attributes:
        teacher: images to the pair (feature, logits), without gradient. It is part of the state, so that a training
            goes on from its own checkpoint alone.
    """

    @dataclass(frozen=True)
    class Settings(RIDE.Settings):
        """Hyperparameters, besides those of RIDE.

        Attributes:
            distillation_temperature: T, that of teacher and student.
            teacher_bn: mode of the teacher's batch normalisation. In ``eval`` the teacher stays as it was trained; in
                ``train`` it normalises by the batch, and its running statistics, which nothing reads, move on.
        """

        distillation_temperature: float
        teacher_bn: Literal["train", "eval"]

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            temperature = self.distillation_temperature
            require(temperature > 0, "distillation_temperature", temperature, "above 0")

    starts: ClassVar[Start] = "transfer"

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert parent is not None
        teacher = parent.encoder("backbone")
        if not isinstance(teacher, HeadedEncoder):
            raise LongtailError(
                "Distillation needs a teacher with a classifier: put steps such as ride-six and ride-six-reweighted "
                "before it in the recipe."
            )
        self.teacher = teacher.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Train mode for the student, and for the teacher if the setting says so."""
        super().train(mode)
        if self.settings.teacher_bn == "eval":
            self.teacher.eval()
        return self

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``, the ``distillation`` and ``divergence`` in it, and ``accuracy`` of the experts' mean in percent.

        The loss is n (RIDE + T^2 KL(teacher || mean of the experts)): the code adds up both terms, which are of all
        experts together, once for every expert.
        """
        images, labels = batch.views[0], batch.labels[0]
        logits = self.each(images)
        mean = logits.mean(0)
        with torch.no_grad():
            _, target = self.teacher(images)
        parts = self.experts_loss(logits, labels)
        learnt = distillation(mean, target, self.settings.distillation_temperature)
        parts["loss"] = len(logits) * (parts["loss"] + learnt)
        return {**parts, "distillation": learnt, "accuracy": accuracy(mean, labels)}


class DistilledReweightedRIDE(DistilledRIDE, ReweightedRIDE):
    """The same where classes weigh by their effective numbers, and temperatures follow their sizes."""

    @dataclass(frozen=True)
    class Settings(DistilledRIDE.Settings, ReweightedRIDE.Settings):
        """Hyperparameters of both."""
