"""What tests of objectives share: a network, a batch, a split, a step on shapes alone, slow updates, slow NT-Xent."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from longtail.methods.base import Batch, Objective
from longtail.methods.clustering.byol import BYOL
from longtail.methods.clustering.miniclustering import MiniClustering

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
    return Batch(views, (torch.randperm(ROWS, generator=generator)[:rows],) * 2, generator)


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

    @torch.no_grad()
    def encode_views(self, encoder, rows, views):
        return tuple(copy.deepcopy(encoder).eval()(self.images[rows] + view).float() for view in range(views))


def step_without_values(objective: Objective, *shape: int, views: int = 2, labels: Tensor | None = None) -> None:
    """A step of an objective on views of this shape, in which no value may be read, as that would wait for the device.

    ``labels`` are those of each view, where the objective is supervised.

    Fake tensors have shapes but no values: reading one, or a shape that depends on one, raises.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        seen = tuple(torch.randn(*shape, dtype=torch.float64) for _ in range(views))
        objective.before_step(0.5)
        rows = (torch.arange(shape[0]),) * views
        classes = () if labels is None else (labels,) * views
        objective.loss(Batch(seen, rows, torch.Generator(), classes))["loss"].backward()
        objective.after_step(0.5)


def mixed_forward(backbone, depth: int, x: Tensor, lam: Tensor, permutation: Tensor) -> Tensor:
    """A backbone layer by layer, mixed at one depth: 0 the images, 1 and 2 after that residual stage."""

    def mix(value: Tensor, here: int) -> Tensor:
        return lam * value + (1 - lam) * value[permutation] if depth == here else value

    x = backbone.layer1(backbone.relu(backbone.bn1(backbone.conv1(mix(x, 0)))))
    x = backbone.layer3(mix(backbone.layer2(mix(x, 1)), 2))
    return backbone.avgpool(x).flatten(1)


RATE = 0.1
"""The learning rate of the updates below."""


def updates(objective: Objective, batches: Sequence[Batch], after: int = 0, clock: int | None = None) -> None:
    """One update per batch in the loop's order of calls, ``after`` others; the whole ``clock`` unless that is given."""
    groups = objective.parameter_groups()
    optimizer = torch.optim.SGD([{"params": g["params"], "lr": RATE * g["learning_rate_scale"]} for g in groups])
    for number, batch in enumerate(batches, after + 1):
        objective.before_step(number / (clock or len(batches)))
        optimizer.zero_grad()
        objective.loss(batch)["loss"].backward()
        optimizer.step()
        objective.after_step(number / (clock or len(batches)))


def slow_updates(byol: BYOL, batches: Sequence[Batch], slow_loss: Callable[[BYOL, Batch], Tensor]) -> None:
    """The same of a BYOL, or of what is built on it, step by step as the official codes take them, in float64.

    Before update n of N, the momentum becomes m(n). The target moves where the settings say: before the losses or
    after them, either towards the weights that the losses are of, or after the step, towards the new ones.
    """
    settings, total = byol.settings, len(batches)
    online = [*byol.backbone.parameters(), *byol.projector.parameters()]
    target = [*byol.target_backbone.parameters(), *byol.target_projector.parameters()]
    for n, batch in enumerate(batches, 1):
        m = settings.target_momentum
        if settings.target_schedule == "cosine":
            m = 1.0 - (1.0 - m) * (math.cos(math.pi * n / total) + 1) / 2

        def move(m=m):
            for q, k in zip(online, target, strict=True):
                k.data = k.data * m + q.data * (1 - m)

        if settings.target_update == "before_forward":
            move()
        loss = slow_loss(byol, batch)
        if settings.target_update == "after_forward":
            move()
        loss.backward()
        for group in byol.parameter_groups():
            for parameter in group["params"]:
                parameter.data = parameter.data - RATE * group["learning_rate_scale"] * parameter.grad
                parameter.grad = None
        if settings.target_update == "after_step":
            move()


def assert_same_updates(byol: BYOL, slow_loss: Callable[[BYOL, Batch], Tensor], count: int = 3) -> None:
    """Its own training ends with the weights of the slow one, online and target's, up to rounding in float64."""
    reference, start = copy.deepcopy(byol), copy.deepcopy(byol)
    slow_updates(reference, [a_batch(seed) for seed in range(count)], slow_loss)
    updates(byol, [a_batch(seed) for seed in range(count)])
    for name, value in reference.named_parameters():
        torch.testing.assert_close(byol.get_parameter(name), value, rtol=1e-12, atol=1e-13, msg=name)
    moved = zip(start.target_projector.parameters(), byol.target_projector.parameters(), strict=True)
    assert not all(torch.equal(before, after) for before, after in moved)


def nt_xent_by_hand(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """ConMix Eq. 4, term by term."""
    z = [row / row.norm() for row in (*a, *b)]
    count = len(a)
    total = torch.zeros((), dtype=a.dtype)
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        others = sum(torch.exp(z[i] @ z[k] / temperature) for k in range(2 * count) if k != i)
        total = total - torch.log(torch.exp(z[i] @ z[partner] / temperature) / others)
    return total / (2 * count)
