"""Students: new networks that learn from the one that the training before them leaves (Hinton et al., 2015)."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from longtail.errors import LongtailError
from longtail.methods.base import Context, Objective, Start
from longtail.methods.recognition.classification import Classification
from longtail.models.headed import HeadedEncoder


class Student(Classification):
    """A classifier beside a trained one. What it learns from it is up to the subclass.

    The settings of a subclass have ``teacher_bn``: mode of the teacher's batch normalisation. In ``eval`` the teacher
    stays as it was trained; in ``train`` it normalises by the batch, and its running statistics, which nothing reads,
    move on.

    Attributes:
        teacher: images to the pair (feature, logits), without gradient. It is part of the state, so that a training
            goes on from its own checkpoint alone.
    """

    starts: ClassVar[Start] = "transfer"

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert parent is not None
        teacher = parent.encoder("backbone")
        if not isinstance(teacher, HeadedEncoder):
            raise LongtailError(
                f"{type(self).__name__} needs a teacher with a classifier: put steps such as ride-six or "
                "balanced-softmax before it in the recipe."
            )
        self.teacher = teacher.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Train mode for the student, and for the teacher if the setting says so."""
        super().train(mode)
        if self.settings.teacher_bn == "eval":
            self.teacher.eval()
        return self

    @torch.no_grad()
    def taught(self, images: Tensor) -> Tensor:
        """The teacher's logits, (B, K)."""
        _, logits = self.teacher(images)
        return logits
