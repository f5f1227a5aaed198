"""TSC: targeted supervised contrastive learning (Li et al., CVPR 2022; LTH14/targeted-supcon), second half.

The first half is KCL, with an optimiser and a schedule of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Images, Objective, Start
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.targets import assigned, batch_tsc, moved_centroids, optimised, simplex
from longtail.methods.recognition.kcl import BatchKCL


class TSC(BatchKCL):
    """KCL in which every class is drawn to a target of its own.

    Attributes:
        targets: (K, d) float32, unit rows, a buffer.
        centroids: of the classes' embeddings, (K, d) float32, unit rows, a buffer.
    """

    @dataclass(frozen=True)
    class Settings(BatchKCL.Settings):
        """Hyperparameters of TSC.

        Attributes:
            target_weight: lambda.
            assignment: which target a class has: ``hungarian``, those nearest to the classes' centroids in each step,
                which waits for the device, or ``fixed``, the one of its number.
            target_counted: whether the divisor counts the target, and divides its term.
        """

        target_weight: float
        assignment: Literal["hungarian", "fixed"]
        target_counted: bool

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(self.target_weight >= 0, "target_weight", self.target_weight, "at least 0")

    starts: ClassVar[Start] = "transfer"
    targets: Tensor
    centroids: Tensor

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.register_buffer("targets", torch.zeros(context.classes, settings.projection_width))
        self.register_buffer("centroids", unit(torch.randn(context.classes, settings.projection_width)))

    def networks(self, context: Context, parent: Objective | None) -> tuple[Any, nn.Module]:
        """Backbone and head of the first half, to be trained on."""
        assert parent is not None
        backbone, projector = parent.encoder("projection").children()
        return backbone, projector

    def prepare(self, images: Images) -> None:
        """Place the targets."""
        classes, width = self.targets.shape
        self.targets.copy_((simplex if classes <= width + 1 else optimised)(classes, width))

    def criterion(self, a: Tensor, b: Tensor, batch: Batch) -> Tensor:
        """L_TSC of the batch."""
        s, labels = self.settings, batch.labels[0]
        a, b, own = unit(a), unit(b), torch.arange(len(self.targets), device=labels.device)
        if s.assignment == "hungarian":
            self.centroids.copy_(moved_centroids(self.centroids, torch.cat([a, b]), labels.repeat(2)))
            own = assigned(self.centroids, self.targets)
        weighed = (s.target_weight, s.target_counted)
        return batch_tsc(a, b, labels, self.targets, own, s.positives, s.temperature, *weighed, batch.generator)
