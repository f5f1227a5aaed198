"""The second stage of RIDE: gates route images to as many experts as they need (Wang et al., ICLR 2021, "EA").

Follows frank-xwang/RIDE-LongTailRecognition. An image goes through the first expert. A gate then looks at the mean of
the logits so far and at the feature of the last expert, and either lets the image pass to the next one or not; the mean
over the experts that it went through predicts. The gates learn on a network that does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Objective
from longtail.methods.checks import require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.routing import gating, later_experts_help
from longtail.methods.recognition.experts import ExpertClassifiers
from longtail.methods.recognition.two_stage import SecondStage, first_stage
from longtail.models.classifiers import Linear


class RoutedClassifiers(nn.Module):
    """Experts' classifiers, and the gates between them.

    Gate e, of e = 1..n-1, sees the largest logits among the mean of the first e experts, largest first, and beside them
    ReLU(V_e h_e) of the unit feature h_e of expert e. The output weights are those of all gates.

    Args:
        experts: n classifiers.
        width: of all features together, n d.
        classes: K.
        hidden_width: of V_e h_e.
        top_logits: how many logits a gate sees; all K where there are fewer classes.
    """

    def __init__(
        self, experts: ExpertClassifiers, width: int, classes: int, hidden_width: int, top_logits: int
    ) -> None:
        super().__init__()
        count = len(experts.classifiers)
        self.experts = experts
        self.top_logits = min(top_logits, classes)
        self.hidden = nn.ModuleList(Linear(width // count, hidden_width, "kaiming") for _ in range(count - 1))
        self.output = Linear(self.top_logits + hidden_width, 1, "kaiming")

    def means(self, h: Tensor) -> Tensor:
        """Of the logits of the first 1, 2, ..., n experts, (n, B, K)."""
        each = self.experts.each(h)
        return each.cumsum(0) / torch.arange(1, len(each) + 1, device=h.device)[:, None, None]

    def scores(self, h: Tensor, means: Tensor) -> Tensor:
        """Those of the gates, (n - 1, B): above 0, an image passes."""
        parts = h.chunk(len(means), dim=1)[:-1]
        seen = [
            torch.cat([mean.topk(self.top_logits, dim=1).values, hidden(unit(part)).relu()], dim=1)
            for hidden, part, mean in zip(self.hidden, parts, means[:-1], strict=True)
        ]
        return self.output(torch.stack(seen)).squeeze(2)

    @staticmethod
    def passed(scores: Tensor) -> Tensor:
        """How many gates an image passes before the first that stops it, (B,) int64."""
        return (scores > 0).long().cumprod(0).sum(0)

    def forward(self, h: Tensor) -> Tensor:
        """(B, n d) to (B, K): the mean logits of the experts that each image goes through."""
        means = self.means(h)
        return routed(means, self.passed(self.scores(h, means)))


def routed(means: Tensor, passed: Tensor) -> Tensor:
    """Of each image the mean, (n, B, K) over the first experts, that it ends with, (B, K)."""
    return means[passed, torch.arange(len(passed), device=means.device)]


class RIDERouting(SecondStage):
    """Gates on the experts of a trained RIDE, which stay as they are."""

    @dataclass(frozen=True)
    class Settings(SecondStage.Settings):
        """Hyperparameters of the gates, besides the mode of the frozen network.

        Attributes:
            hidden_width: of what a gate makes of a feature.
            top_logits: how many logits a gate sees; all where there are fewer classes.
            positive_weight: in the gates' loss, of images that a later expert helps.
        """

        hidden_width: int
        top_logits: int
        positive_weight: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.hidden_width >= 1, "hidden_width", self.hidden_width, "at least 1")
            require(self.top_logits >= 1, "top_logits", self.top_logits, "at least 1")
            require(self.positive_weight > 0, "positive_weight", self.positive_weight, "above 0")

    def new_classifier(self, width: int, classes: int, parent: Objective | None) -> nn.Module:
        """Those of the first stage, frozen, with new gates."""
        experts = first_stage(parent)[1]
        if not isinstance(experts, ExpertClassifiers) or len(experts.classifiers) < 2:
            raise LongtailError(
                "Routing goes on from two or more trained experts: put steps such as ride and ride-reweighted before "
                "it in the recipe."
            )
        settings = self.settings
        return RoutedClassifiers(
            experts.requires_grad_(False), width, classes, settings.hidden_width, settings.top_logits
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss`` of the gates, mean number of ``experts`` of an image, and ``accuracy`` as routed in percent.

        All gates see all images, those too that an earlier gate has stopped.
        """
        head: Any = self.network.head
        labels = batch.labels[0]
        with torch.no_grad():
            h = self.network.embedder(batch.views[0])
            means = head.means(h)
        scores = head.scores(h, means)
        passed = head.passed(scores)
        return {
            "loss": gating(scores, later_experts_help(means, labels), self.settings.positive_weight),
            "experts": 1 + passed.float().mean(),
            "accuracy": accuracy(routed(means, passed), labels),
        }
