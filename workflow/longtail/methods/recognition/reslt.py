"""ResLT: what rare classes lack is added by branches of their own (Cui et al., TPAMI 2022; jiequancui/ResLT).

The first branch learns from all images, the second from those of medium and few classes, the third from few ones. The
sum of their logits predicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.reslt import reslt
from longtail.methods.recognition.classification import Classification
from longtail.models.branches import LastConvolution, LastNorms
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


class NormalizedShared(SharedClassifier):
    """The same, whose weights are divided by their lengths to the ``power`` in eval mode, and which then has no bias.

    tau-normalisation, that jiequancui/ResLT predicts by on the large sets.

    Args:
        branches, width, classes, init: as of :class:`SharedClassifier`.
        power: gamma in the code; 0 leaves the lengths, and takes the bias away alone.
    """

    def __init__(self, branches: int, width: int, classes: int, init: str, power: float) -> None:
        super().__init__(branches, width, classes, init)
        self.power = power

    @property
    def weight(self) -> Tensor:
        """Of all features, (K, n d), as it predicts in this mode."""
        return self._normalized().repeat(1, self.branches) if not self.training else super().weight

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]
        """That of every branch, added up, (K,); none in eval mode."""
        return self.branches * self.linear.bias if self.training else None

    def _normalized(self) -> Tensor:
        weight = self.linear.weight
        return weight / weight.norm(dim=1, keepdim=True) ** self.power

    def each(self, h: Tensor) -> Tensor:
        """(B, n d) to the logits of the branches, (n, B, K)."""
        if self.training:
            return super().each(h)
        with torch.autocast(h.device.type, enabled=False):
            parts = torch.stack(h.to(self.linear.weight.dtype).chunk(self.branches, dim=1))
            return functional.linear(parts, self._normalized())


class ConvolvedResLT(Classification):
    """ResLT on the large sets: branches are convolutions, and rare classes are so many of the smallest."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """Hyperparameters, besides the classifier's.

        Attributes:
            beta: weight of the branches by themselves; that of their sum is 1 - beta.
            smallest: how many of the smallest classes each branch after the first learns from.
            floored: whether probabilities are raised by 1e-7 in the loss of the sum, too.
            power: of the lengths that the classifier's weights are divided by where it predicts.
        """

        beta: float
        smallest: tuple[int, ...]
        floored: bool
        power: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(0 <= self.beta <= 1, "beta", self.beta, "between 0 and 1")
            require(self.power >= 0, "power", self.power, "at least 0")
            falling = all(a >= b >= 1 for a, b in zip(self.smallest, self.smallest[1:] or self.smallest, strict=False))
            require(bool(self.smallest) and falling, "smallest", self.smallest, "numbers of classes that do not grow")

    places: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        most, classes = max(settings.smallest), context.classes
        require(most < classes, "smallest", settings.smallest, f"below {classes} classes")
        largest_first = self.class_sizes.argsort(descending=True, stable=True)
        self.register_buffer("places", torch.empty_like(largest_first), persistent=False)
        self.places[largest_first] = torch.arange(classes)
        self.first_places = (0, *(classes - count for count in settings.smallest))

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A new one, whose last map is convolved once per branch."""
        return LastConvolution(context.new_backbone(), 1 + len(self.settings.smallest))

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """One for all branches."""
        s = self.settings
        return NormalizedShared(1 + len(s.smallest), width, classes, s.classifier_init, s.power)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``; ``accuracy`` of the sum of the branches in percent."""
        head: Any = self.network.head
        s, labels = self.settings, batch.labels[0]
        logits = head.each(self.network.embedder(batch.views[0]))
        loss = reslt(logits, labels, self.first_places, s.beta, self.places[labels], s.floored)
        return {"loss": loss, "accuracy": accuracy(logits.sum(0), labels)}
