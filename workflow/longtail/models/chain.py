"""Backbone and head as one encoder."""

from __future__ import annotations

from torch import nn


class Chain(nn.Sequential):
    """Networks one after the other, with ``width``, the dimension of the last one's output, as an attribute."""

    def __init__(self, *networks: nn.Module, width: int) -> None:
        super().__init__(*networks)
        self.width = width
