"""Second stages: a classifier on the backbone of a trained network, which learns no more (Kang et al., ICLR 2020).

Follows facebookresearch/classifier-balancing, where the sampler balances classes and the loss is cross-entropy. The
linear stage after supervised contrast is the same without that sampler (HobbitLong/SupContrast).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.methods.base import Context, Objective, Start
from longtail.methods.checks import check_choices
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.recognition.classification import Classification
from longtail.models.classifiers import Linear, Scaled
from longtail.models.headed import HeadedEncoder


class SecondStage(Classification):
    """Cross-entropy of a classifier behind a backbone without gradient."""

    @dataclass(frozen=True)
    class Settings:
        """What becomes of the backbone.

        Attributes:
            frozen_bn: mode of its batch normalisation. In ``train`` it normalises by the batch, and its running
                statistics move on; in ``eval`` it stays as it was trained.
        """

        frozen_bn: Literal["train", "eval"]

        def __post_init__(self) -> None:
            check_choices(self)

    starts: ClassVar[Start] = "transfer"

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """That of the first stage, frozen."""
        return first_stage(parent)[0].requires_grad_(False)

    def trained_classifier(self, parent: Objective | None) -> Linear:
        """That of the first stage; raises as :func:`linear_classifier` does."""
        return linear_classifier(parent, type(self).__name__)

    def train(self, mode: bool = True) -> Self:
        """Train mode for the classifier, and for the backbone if the setting says so."""
        super().train(mode)
        if self.settings.frozen_bn == "eval":
            self.network.embedder.eval()
        return self

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s, y)."""
        return cross_entropy(logits, labels)


class ClassifierRetraining(SecondStage):
    """cRT: a new linear classifier."""

    @dataclass(frozen=True)
    class Settings(SecondStage.Settings):
        """``classifier_init``: as in :class:`~longtail.methods.recognition.classification.Classification`."""

        classifier_init: Literal["default", "kaiming", "normal"]


class LearnableScaling(SecondStage):
    """LWS: the trained linear classifier, whose logits are scaled class by class; the scales alone learn."""

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """That of the first stage, frozen, with scales of 1."""
        return Scaled(self.trained_classifier(parent).requires_grad_(False))


def first_stage(parent: Objective | None) -> tuple[nn.Module, nn.Module | None]:
    """The backbone that ``parent`` trained, and its classifier if it has one."""
    assert parent is not None
    network = parent.encoder("backbone")
    return (network.embedder, network.head) if isinstance(network, HeadedEncoder) else (network, None)


def linear_classifier(parent: Objective | None, method: str) -> Linear:
    """The classifier that ``parent`` trained.

    Raises:
        LongtailError: if it has none, or one that is not linear; it is about ``method``, which goes on from it.
    """
    classifier = first_stage(parent)[1]
    if not isinstance(classifier, Linear):
        raise LongtailError(
            f"{method} goes on from a trained linear classifier: put a step such as ce before it in the recipe."
        )
    return classifier
