"""SSD (Li et al., Self Supervision to Distillation, ICCV 2021): features, then soft labels, then a student of both.

Follows MCG-NJU/SSD-LT, which trains it on ImageNet-LT. The stage between the two of this file, which makes the soft
labels, is learnable weight scaling (:class:`~longtail.methods.recognition.two_stage.LearnableScaling`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy, cross_entropy
from longtail.methods.losses.distillation import distillation
from longtail.methods.losses.instance_contrast import contrast_of_instances
from longtail.methods.recognition.classification import Classification
from longtail.methods.recognition.momentum_contrast import ClassifiedPairs, Pairs
from longtail.methods.recognition.student import Student
from longtail.models.classifiers import Linear


class GuidedFeatures(ClassifiedPairs):
    """Stage I: cross-entropy of view 1, and its own key in view 2 to be found among keys of other classes.

    Attributes:
        classifier: of the backbone's feature.
    """

    @dataclass(frozen=True)
    class Settings(ClassifiedPairs.Settings):
        """``classifier_init``: as in :class:`~longtail.methods.recognition.classification.Classification`."""

        classifier_init: Literal["default", "kaiming"]

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)

    def new_classifier(self, width: int, classes: int) -> nn.Module:
        """Linear, starting as the settings say."""
        return Linear(width, classes, self.settings.classifier_init)

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``loss``: CE(s, y) + ``contrast``; ``accuracy`` of the batch in percent."""
        p = pairs
        logits = self.classifier(p.feature)
        tau = self.settings.temperature
        contrasted = contrast_of_instances(p.query, p.key, p.labels, p.past, p.past_labels, tau)
        loss = cross_entropy(logits, p.labels) + contrasted
        return {"loss": loss, "contrast": contrasted, "accuracy": accuracy(logits, p.labels)}


class SelfDistillation(Student):
    """Stage III: a new network with two classifiers, one for the true classes, one for the soft labels of stage II.

    The soft one is read out: it is ``network.head``.

    Attributes:
        hard: the other one.
    """

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters, besides how both classifiers start.

        Attributes:
            distillation_temperature: T, that of teacher and student.
            teacher_bn: see :class:`~longtail.methods.recognition.student.Student`.
        """

        distillation_temperature: float
        teacher_bn: Literal["train", "eval"]

        def __post_init__(self) -> None:
            super().__post_init__()
            temperature = self.distillation_temperature
            require(temperature > 0, "distillation_temperature", temperature, "above 0")

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        head: Any = self.network.head
        self.hard = Linear(head.in_features, context.classes, settings.classifier_init)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: CE(hard, y) + ``distillation`` of soft; ``accuracy`` of soft and ``hard_accuracy`` in percent."""
        images, labels = batch.views[0], batch.labels[0]
        feature, soft = self.network(images)
        hard = self.hard(feature)
        learnt = distillation(soft, self.taught(images), self.settings.distillation_temperature)
        return {
            "loss": cross_entropy(hard, labels) + learnt,
            "distillation": learnt,
            "accuracy": accuracy(soft, labels),
            "hard_accuracy": accuracy(hard, labels),
        }
