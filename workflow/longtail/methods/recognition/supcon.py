"""Supervised contrastive learning, first stage (Khosla et al., NeurIPS 2020; HobbitLong/SupContrast).

What contrasts the embeddings of a batch of two views among each other by another rule is a subclass of
:class:`BatchContrast`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.methods.base import Batch
from longtail.methods.checks import require
from longtail.methods.losses.contrastive import supcon
from longtail.methods.recognition.projected import Projected


class BatchContrast(Projected):
    """Two views of each image pass the network together; a loss of the 2B embeddings."""

    def criterion(self, a: Tensor, b: Tensor, batch: Batch) -> Tensor:
        """The loss of a step, a scalar, of the embeddings of both views, (B, d) each, as the head gives them."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: the criterion; the batch statistics are of both views together."""
        a, b = self.projector(self.backbone(torch.cat(batch.views))).chunk(2)
        return {"loss": self.criterion(a, b, batch)}


class SupCon(BatchContrast):
    """Images of one class attract each other."""

    @dataclass(frozen=True)
    class Settings(BatchContrast.Settings):
        """``base_temperature``: the loss is multiplied by tau over this: a factor on the learning rate, no more."""

        base_temperature: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.base_temperature > 0, "base_temperature", self.base_temperature, "above 0")

    def criterion(self, a: Tensor, b: Tensor, batch: Batch) -> Tensor:
        """L^sup_out, scaled by the temperatures."""
        loss = supcon(a, b, batch.labels[0], self.settings.temperature)
        return loss * (self.settings.temperature / self.settings.base_temperature)
