"""Encoders with a cluster head: what methods are read out by that predict clusters themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Head(nn.Linear):
    """A linear layer in full precision: bfloat16 cannot resolve the logits of weights a hundred long."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, d) to (B, clusters)."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype))


class HeadedEncoder(nn.Module):
    """Images to the pair (embedding, logits)."""

    def __init__(self, embedder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.embedder = embedder
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to (B, d) and (B, clusters)."""
        embedding = self.embedder(images)
        return embedding, self.head(embedding)
