"""ResLT: what rare classes lack is added by branches of their own (Cui et al., TPAMI 2022; jiequancui/ResLT).

The first branch learns from all images, the second from those of medium and few classes, the third from few ones. The
sum of their logits predicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.reslt import reslt
from longtail.methods.recognition.classification import Classification
from longtail.models.branches import LastNorms
from longtail.models.classifiers import Linear

BRANCHES = 3


class SharedClassifier(nn.Module):
    """One linear classifier for all branches, whose logits are added up.

    Args:
        branches: n.
        width: of all branches' features together, n d.
        classes: K.
        init: as of :class:`~longtail.models.classifiers.Linear`.
    """

    def __init__(self, branches: int, width: int, classes: int, init: str) -> None:
        super().__init__()
        self.branches = branches
        self.linear = Linear(width // branches, classes, init)

    @property
    def weight(self) -> Tensor:
        """Of all features, (K, n d)."""
        return self.linear.weight.repeat(1, self.branches)

    @property
    def bias(self) -> Tensor:
        """That of every branch, added up, (K,)."""
        return self.branches * self.linear.bias

    def each(self, h: Tensor) -> Tensor:
        """(B, n d) to the logits of the branches, (n, B, K)."""
        return self.linear(torch.stack(h.chunk(self.branches, dim=1)))

    def forward(self, h: Tensor) -> Tensor:
        """(B, n d) to (B, K)."""
        return self.each(h).sum(0)


class ResLT(Classification):
    """Cross-entropy of each branch by itself, and of all together."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters, besides the classifier's.

        Attributes:
            beta: weight of the branches by themselves; that of their sum is 1 - beta.
            medium_from: the first class of medium ones: classes are sorted by size.
            few_from: the first class of few ones.
        """

        beta: float
        medium_from: int
        few_from: int

        def __post_init__(self) -> None:
            super().__post_init__()
            require(0 <= self.beta <= 1, "beta", self.beta, "between 0 and 1")
            require(self.medium_from >= 1, "medium_from", self.medium_from, "at least 1")
            require(self.few_from >= self.medium_from, "few_from", self.few_from, "at least medium_from")

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        require(settings.few_from < context.classes, "few_from", settings.few_from, f"below {context.classes} classes")

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A new one, whose last map is normalised once per branch."""
        return LastNorms(context.new_backbone(), BRANCHES)

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """One for all branches."""
        return SharedClassifier(BRANCHES, width, classes, self.settings.classifier_init)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``; ``accuracy`` of the sum of the branches in percent."""
        head: Any = self.network.head
        logits, labels = head.each(self.network.embedder(batch.views[0])), batch.labels[0]
        first_classes = (0, self.settings.medium_from, self.settings.few_from)
        loss = reslt(logits, labels, first_classes, self.settings.beta)
        return {"loss": loss, "accuracy": accuracy(logits.sum(0), labels)}
