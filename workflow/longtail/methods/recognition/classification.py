"""What methods of recognition have in common: a backbone, a classifier of its feature, a loss on the logits.

A method that differs in the loss alone is a subclass with a :meth:`Classification.criterion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from longtail.errors import unknown
from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import check_choices
from longtail.methods.losses.classification import accuracy
from longtail.models.classifiers import Linear
from longtail.models.headed import HeadedEncoder


class Classification(Objective):
    """A classifier, trained by its logits for one view of each image.

    Attributes:
        network: images to the pair (feature h, logits).
        class_sizes: n, (K,) int64, a buffer.
    """

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of a linear classifier.

        Attributes:
            classifier_init: how its weights start, see :class:`~longtail.models.classifiers.Linear`.
        """

        classifier_init: Literal["default", "kaiming", "normal"]

        def __post_init__(self) -> None:
            check_choices(self)

    features: ClassVar[tuple[str, ...]] = ("backbone",)
    supervised: ClassVar[bool] = True
    class_sizes: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert context.class_sizes is not None
        self.settings = settings
        self.register_buffer("class_sizes", context.class_sizes.clone())
        backbone = self.new_backbone(context, parent)
        self.network = HeadedEncoder(backbone, self.new_classifier(backbone.width, context.classes, parent))

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """The network in front of the classifier: a new one."""
        return context.new_backbone()

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """The classifier of (B, ``width``): linear."""
        return Linear(width, classes, self.settings.classifier_init)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: (B, K).
            labels: (B,) int64.
        """
        raise NotImplementedError

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: the criterion of the first view; ``accuracy`` of the batch in percent."""
        _, logits = self.network(batch.views[0])
        labels = batch.labels[0]
        return {"loss": self.criterion(logits, labels), "accuracy": accuracy(logits, labels)}

    def encoder(self, features: str) -> nn.Module:
        """``backbone``: h, (B, d), and the logits; its ``head`` is the classifier."""
        if features not in self.features:
            raise unknown(f"features of {type(self).__name__}", features, self.features)
        return self.network
