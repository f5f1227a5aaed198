"""What tests of objectives share: a network of two layers, a batch, a split, and a step on shapes alone."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from longtail.methods.base import Batch, Objective
from longtail.methods.miniclustering import MiniClustering

MINI_CLUSTERS = 5
MINICLUSTERING = MiniClustering.Settings(
    features="backbone",
    direction="mini",
    mini_clusters=MINI_CLUSTERS,
    assignment_threshold=0.3,
    confidence_threshold=0.1,
    target_weight=1.0,
    alpha=0.5,
    beta=0.5,
    target_loss="reweighted",
    cb_gamma=0.99,
    confidence_view=2,
    count_view=1,
    reweighting="weighted_mean",
    mini_balance="class_balanced",
    similarity="cosine",
    empty_mask="skip",
    head_scale=1.0,
    kmeans_seed=0,
)
"""The official code's choices, at a size where loops are quick."""

ROWS = 20
"""Images of the split."""


class TinyBackbone(nn.Sequential):
    """(B, 2, H, W) to (B, 6)."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__(nn.Conv2d(2, 6, 3), norm(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.width = 6


def a_batch(seed: int = 0, rows: int = 8) -> Batch:
    """Two views of some of the rows, in float64."""
    generator = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(rows, 2, 5, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    return Batch(views, torch.randperm(ROWS, generator=generator)[:rows], generator)


class TheseImages:
    """A split whose images are given; remembers the order in which they passed."""

    def __init__(self, images=None):
        random = torch.Generator().manual_seed(1)
        self.images = torch.randn(ROWS, 2, 5, 5, dtype=torch.float64, generator=random) if images is None else images
        self.orders = []

    @torch.no_grad()
    def encode(self, encoder, order=None):
        self.orders.append(order)
        return copy.deepcopy(encoder).eval()(self.images).float()


def step_without_values(objective: Objective, *shape: int, views: int = 2) -> None:
    """A step of an objective on views of this shape, in which no value may be read, as that would wait for the device.

    Fake tensors have shapes but no values: reading one, or a shape that depends on one, raises.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        seen = tuple(torch.randn(*shape, dtype=torch.float64) for _ in range(views))
        objective.loss(Batch(seen, torch.arange(shape[0]), torch.Generator()))["loss"].backward()
        objective.after_step(0.5)
