"""DRO-LT: features that stay with their class under a shift of its mean (Samuel and Chechik, ICCV 2021).

Follows dvirsamuel/DRO-LT: from a network trained by cross-entropy, first the backbone learns and then the classifier,
each while the other stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Images, Objective, Start
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy, cross_entropy
from longtail.methods.losses.robust import robust
from longtail.methods.recognition.classification import Classification
from longtail.methods.recognition.two_stage import SecondStage, first_stage, linear_classifier


class DROLT(Classification):
    """The trained network goes on, by the robust loss and by cross-entropy in front of a classifier without gradient.

    Attributes:
        margins: eps, how far the mean of each class may be off, (K,), a parameter.
        means: mu, of each class's features, (K, d) float32, a buffer.
    """

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of the robust loss.

        Attributes:
            temperature: tau.
            margin: of which class an image's margin is: its ``own_class``, or ``misaligned``, as
                :func:`~longtail.methods.losses.robust.robust` explains.
        """

        temperature: float
        margin: Literal["misaligned", "own_class"]

        def __post_init__(self) -> None:
            check_choices(self)
            require(self.temperature > 0, "temperature", self.temperature, "above 0")

    starts: ClassVar[Start] = "transfer"
    means: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        backbone: Any = self.network.embedder
        self.margins = nn.Parameter(torch.ones(context.classes))
        self.register_buffer("means", torch.zeros(context.classes, backbone.width))

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """That of the first stage."""
        return first_stage(parent)[0]

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """That of the first stage, frozen."""
        return linear_classifier(parent, "DRO-LT").requires_grad_(False)

    def start_epoch(self, epoch: int, images: Images) -> None:
        """Take the means of the features that the images have now, augmented as in a step."""
        rows = torch.arange(int(self.class_sizes.sum()), device=self.means.device)
        (features,) = images.encode_views(self.network.embedder, rows, 1)
        self.means.copy_(torch.stack([members.mean(0) for members in features.split(self.class_sizes.tolist())]))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: CE in which a class weighs n_k / n_max, + L_robust; ``robust``, and ``accuracy`` in percent."""
        h, logits = self.network(batch.views[0])
        labels, s = batch.labels[0], self.settings
        away = robust(h, labels, self.means, self.margins, s.temperature, s.margin == "misaligned")
        loss = cross_entropy(logits, labels, self.class_sizes) + away  # a weighted mean: 1 / n_max cancels out
        return {"loss": loss, "robust": away, "accuracy": accuracy(logits, labels)}


class DROLTClassifier(SecondStage):
    """The trained classifier goes on, by cross-entropy, behind the backbone as it is then."""

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """That of the stages before."""
        return linear_classifier(parent, "The classifier of DRO-LT").requires_grad_(True)
