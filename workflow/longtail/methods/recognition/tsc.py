"""TSC: targeted supervised contrastive learning (Li et al., CVPR 2022; LTH14/targeted-supcon), second half.

The first half is KCL, with an optimiser and a schedule of its own: within a batch on CIFAR, against a queue on large
sets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context, Images, Objective, Start
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.targets import assigned, batch_tsc, moved_centroids, optimised, simplex, tsc
from longtail.methods.recognition.kcl import KCL, BatchKCL
from longtail.methods.recognition.momentum_contrast import Pairs
from longtail.methods.recognition.projected import Projected


class Targeted(Projected):
    """Every class is drawn to a target of its own; the contrast is up to the subclass.

    Its settings have ``target_weight``, lambda; ``assignment``, which target a class has: ``hungarian``, those nearest
    to the classes' centroids in each step, which waits for the device, or ``fixed``, the one of its number; and
    ``target_counted``, whether the divisor counts the target, and divides its term.

    Attributes:
        targets: (K, d) float32, unit rows, a buffer.
        centroids: of the classes' embeddings, (K, d) float32, unit rows, a buffer.
    """

    starts: ClassVar[Start] = "transfer"
    targets: Tensor
    centroids: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
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
        there_is_a_simplex = classes <= width + 1
        device = self.targets.device
        self.targets.copy_(simplex(classes, width) if there_is_a_simplex else optimised(classes, width, device=device))

    def own_targets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Which target each class has, (K,) int64, once the centroids have moved towards these, (B, d) unit rows."""
        if self.settings.assignment == "fixed":
            return torch.arange(len(self.targets), device=labels.device)
        self.centroids.copy_(moved_centroids(self.centroids, embeddings, labels))
        return assigned(self.centroids, self.targets)


def check_target(settings: Any) -> None:
    """Raise a LongtailError unless the settings of a :class:`Targeted` make sense."""
    check_choices(settings)
    require(settings.target_weight >= 0, "target_weight", settings.target_weight, "at least 0")


class TSC(Targeted, BatchKCL):
    """KCL within a batch, and targets."""

    @dataclass(frozen=True)
    class Settings(BatchKCL.Settings):
        """Hyperparameters of TSC: see :class:`Targeted`."""

        target_weight: float
        assignment: Literal["hungarian", "fixed"]
        target_counted: bool

        def __post_init__(self) -> None:
            super().__post_init__()
            check_target(self)

    def criterion(self, a: Tensor, b: Tensor, batch: Batch) -> Tensor:
        """L_TSC of the batch."""
        s, labels = self.settings, batch.labels[0]
        a, b = unit(a), unit(b)
        own = self.own_targets(torch.cat([a, b]), labels.repeat(2))
        weighed = (s.target_weight, s.target_counted)
        return batch_tsc(a, b, labels, self.targets, own, s.positives, s.temperature, *weighed, batch.generator)


class QueueTSC(Targeted, KCL):
    """KCL against a queue, and targets: both networks and the queue go on from those of the first half.

    Attributes:
        assignment: which target each class has in this epoch, (K,) int64, a buffer; it is used where targets are
            assigned anew in each epoch.
    """

    @dataclass(frozen=True)
    class Settings(KCL.Settings):
        """Hyperparameters of TSC, besides those of :class:`Targeted`.

        Attributes:
            reassigned: when the Hungarian algorithm assigns targets anew: in each ``step``, or before each ``epoch``.
        """

        target_weight: float
        assignment: Literal["hungarian", "fixed"]
        target_counted: bool
        reassigned: Literal["step", "epoch"] = field(default="step", kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            check_target(self)

    assignment: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        if not isinstance(parent, KCL):
            raise LongtailError("TSC goes on from the networks and the queue of KCL: put the step kcl before it.")
        same = parent.queue.keys.shape == self.queue.keys.shape
        shape = tuple(parent.queue.keys.shape)
        require(
            same, "queue_size and projection_width", tuple(self.queue.keys.shape), f"those of the step before, {shape}"
        )
        self.key_backbone, self.key_projector = parent.key_backbone, parent.key_projector
        self.queue = parent.queue
        self.register_buffer("assignment", torch.arange(context.classes))

    def start_epoch(self, epoch: int, images: Images) -> None:
        """Assign targets by the centroids as they are, where that is done once for all steps of the epoch."""
        if (self.settings.assignment, self.settings.reassigned) == ("hungarian", "epoch"):
            self.assignment.copy_(assigned(self.centroids, self.targets))

    def own_targets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Which target each class has, (K,) int64; the centroids move in each step."""
        if (self.settings.assignment, self.settings.reassigned) == ("hungarian", "epoch"):
            self.centroids.copy_(moved_centroids(self.centroids, embeddings, labels))
            return self.assignment
        return super().own_targets(embeddings, labels)

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_TSC. The centroids follow the queries."""
        p, s = pairs, self.settings
        own = self.own_targets(p.query.detach(), p.labels)
        queue = (p.past, p.past_labels)
        weighed = (s.temperature, s.target_weight, s.target_counted)
        loss = tsc(p.query, p.key, p.labels, *queue, self.targets, own, s.positives, *weighed, batch.generator)
        return {"loss": loss}
