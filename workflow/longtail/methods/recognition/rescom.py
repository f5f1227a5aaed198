"""ResCom (Zhong et al., arXiv 2022; dvlab-research/ResCom), and what its Table 6 builds it up from.

Two views of each image, by one policy, pass the network as one batch. A classifier of the feature learns by Balanced
Softmax, and an embedding of it by supervised contrast with a queue; both in one stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy, logit_adjusted
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.siamese_mining import Scaling, contrast_weights, rebalanced_contrast
from longtail.methods.recognition.classification import Classification
from longtail.models.chain import Chain
from longtail.models.class_queues import new_queue
from longtail.models.mlp import projector
from longtail.models.splitnorm import norm_of, unsplit


class SupConBalSfx(Classification):
    """Rows 2 to 4 of Table 6: Balanced Softmax on the logits, and lambda times a contrast with the whole queue."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters of joint training, what Table 6 switches, and where the paper and its code part.

        Attributes:
            projection_width: d, outputs of the projector.
            temperature: tau, of the contrast.
            contrast_weight: lambda.
            classified_views: whose logits Balanced Softmax is of: 1, the first view's, or 2, which is SiamBS.
            beta: of the class weights w of the contrast (CBL); 0 gives weights of 1.
            class_weight: how w is scaled, see :func:`~longtail.methods.losses.siamese_mining.contrast_weights`.
            queue: which kind of Fig. 3, see :func:`~longtail.models.class_queues.new_queue`; ``balanced`` is CBQ.
            keys_per_class: Q; the queue has K Q keys, of whatever kind it is.
            contrast: what anchors are contrasted with: ``batch_and_queue`` or ``queue``.
            anchor_views: whose embeddings are anchors: 1, the first view's, or 2, both views'.
            enqueued_view: whose embeddings go into the queue, the first or the second view's.
            batch_groups: into how many a batch is divided, as dvlab-research/ResCom deals it out to GPUs. Each is
                normalised and contrasted within itself; an image is in one group with both of its views, and queue and
                losses are those of all.
        """

        projection_width: int
        temperature: float
        contrast_weight: float
        classified_views: Literal[1, 2]
        beta: float
        class_weight: Scaling
        queue: Literal["original", "reversed", "balanced"]
        keys_per_class: int
        contrast: Literal["batch_and_queue", "queue"]
        anchor_views: Literal[1, 2]
        enqueued_view: Literal[1, 2]
        batch_groups: int = field(default=1, kw_only=True)

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.contrast_weight >= 0, "contrast_weight", self.contrast_weight, "at least 0")
            require(0 <= self.beta < 1, "beta", self.beta, "at least 0 and below 1")
            require(self.keys_per_class >= 1, "keys_per_class", self.keys_per_class, "at least 1")
            require(self.batch_groups >= 1, "batch_groups", self.batch_groups, "at least 1")

    features: ClassVar[tuple[str, ...]] = ("backbone", "projection")

    mined: tuple[int, int] | None = None
    """Q_p and Q_n, the hardest pairs that count; None is all."""

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        backbone: Any = self.network.embedder
        width = backbone.width
        self.projector = projector(width, width, settings.projection_width, settings.batch_groups)
        self.queue = new_queue(settings.queue, self.class_sizes, settings.keys_per_class, settings.projection_width)

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A new one, which normalises the groups of a batch apart."""
        return context.new_backbone(norm_of(self.settings.batch_groups))

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s + log pi, y): over both views, it is Siamese Balanced Softmax."""
        return logit_adjusted(logits, labels, self.class_sizes)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: Eq. 7, of ``classification``, (Siam)BalSfx, and ``contrast``; no batch meets itself as keys."""
        settings, both, size = self.settings, torch.cat(batch.labels), len(batch.labels[0])
        h, logits = self.network(torch.cat(batch.views))
        z = unit(self.projector(h))
        contrast = rebalanced_contrast(
            z,
            both,
            self.queue.keys.clone(),  # the backward pass needs the queue as it was
            self.queue.labels.clone(),
            contrast_weights(self.class_sizes, settings.beta, settings.class_weight),
            settings.temperature,
            anchors=settings.anchor_views * size,
            in_batch=settings.contrast == "batch_and_queue",
            mined=self.mined,
            groups=settings.batch_groups,
        )
        self.queue.put(z[:size] if settings.enqueued_view == 1 else z[size:], both[:size])
        classified = settings.classified_views * size
        classification = self.criterion(logits[:classified], both[:classified])
        return {
            "loss": classification + settings.contrast_weight * contrast,
            "classification": classification,
            "contrast": contrast,
            "accuracy": accuracy(logits[:classified], both[:classified]),
        }

    def encoder(self, features: str) -> nn.Module:
        """``backbone``: h, and the logits; ``projection``: the projector's output, not normalised.

        What is trained in groups is copied, and normalises whole batches if it is trained further.
        """
        if features == "projection":
            found: nn.Module = Chain(self.network.embedder, self.projector, width=self.settings.projection_width)
        else:
            found = super().encoder(features)
        return found if self.settings.batch_groups == 1 else unsplit(found)


class ResCom(SupConBalSfx):
    """Rows 5 and 6: the queue's hardest pairs count (SPM)."""

    @dataclass(frozen=True)
    class Settings(SupConBalSfx.Settings):
        """``hard_positives``, ``hard_negatives``: Q_p and Q_n, of the Q keys of a class and the (K - 1) Q of others."""

        hard_positives: int
        hard_negatives: int

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.queue == "balanced", "queue", self.queue, "balanced where hard pairs are mined")
            most = self.keys_per_class
            require(1 <= self.hard_positives <= most, "hard_positives", self.hard_positives, f"between 1 and {most}")
            require(self.hard_negatives >= 1, "hard_negatives", self.hard_negatives, "at least 1")

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        most = (context.classes - 1) * settings.keys_per_class
        require(settings.hard_negatives <= most, "hard_negatives", settings.hard_negatives, f"{most} at most")
        super().__init__(settings, context, parent)
        self.mined = settings.hard_positives, settings.hard_negatives
