"""De-confound-TDE: the total direct effect of an image, without that of the momentum (Tang et al., NeurIPS 2020).

Follows KaihuaTang/Long-Tailed-Recognition.pytorch. Training is cross-entropy of a normalised classifier. It remembers
in what direction features drift; what that direction adds to the logits is taken away where images are predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from longtail.methods.base import Batch, Context, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.recognition.classification import Classification
from longtail.models.branches import LastBlocks
from longtail.models.deconfounded import Deconfounded


class DeconfoundTDE(Classification):
    """Cross-entropy of a classifier that is another one in evaluation."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of the classifier, see :class:`~longtail.models.deconfounded.Deconfounded`.

        Attributes:
            groups: H, into how many the feature is cut.
            scale: t.
            gamma: what lengths of weights are increased by.
            alpha: how much of the effect is removed in evaluation.
            mu: how much of the direction a step keeps, or ``by_learning_rate``, which is :func:`memory`.
            last_blocks: how many last residual blocks stand beside each other. On CIFAR the code takes the network of
                BBN, with both of its branches; 1 is the backbone as it is.
        """

        groups: int
        scale: float
        gamma: float
        alpha: float
        mu: float | Literal["by_learning_rate"]
        last_blocks: int

        def __post_init__(self) -> None:
            for name in ("groups", "last_blocks"):
                require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
            require(self.scale > 0, "scale", self.scale, "above 0")
            for name in ("gamma", "alpha"):
                require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
            fixed = self.mu if isinstance(self.mu, float) else 0.0
            known = isinstance(self.mu, float) or self.mu == "by_learning_rate"
            require(known and 0 <= fixed <= 1, "mu", self.mu, "between 0 and 1, or by_learning_rate")

    def new_backbone(self, context: Context, parent: Objective | None) -> Any:
        """A new one, with these last blocks."""
        return LastBlocks([context.new_backbone() for _ in range(self.settings.last_blocks)])

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """One that removes the effect of the direction."""
        own = self.settings
        mu = own.mu if isinstance(own.mu, float) else memory(0.0)
        return Deconfounded(width, classes, own.groups, own.scale, own.gamma, own.alpha, mu)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss`` and ``accuracy``, as any classifier's, once the step knows how much of the direction it keeps."""
        if self.settings.mu == "by_learning_rate":
            head: Any = self.network.head
            head.mu = memory(batch.learning_rate)
        return super().loss(batch)

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s, y)."""
        return cross_entropy(logits, labels)


def memory(learning_rate: float) -> float:
    """How much of the direction a step keeps: 1 - 0.1 min(50 l, 1), 0.9 until the learning rate l falls below 0.02.

    From there on the features drift more slowly, and the direction goes further back
    (KaihuaTang/Long-Tailed-Recognition.pytorch, on all sets but CIFAR).
    """
    return 1 - 0.1 * min(50 * learning_rate, 1)
