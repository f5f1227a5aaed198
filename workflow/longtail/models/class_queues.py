"""Queues of embeddings that know their classes, those of ResCom (Zhong et al., arXiv 2022, Sec. 3.3 and Fig. 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.models.queue import LabelledQueue


class ClassQueues(nn.Module):
    """A first-in first-out queue per class, all in one table.

    Random unit vectors fill it at first and count as keys of their class until they are replaced, as in
    dvlab-research/ResCom. Using it never waits for the device.

    Attributes:
        keys: (sum of the capacities, width) float32, unit rows, class by class.
        labels: class of each key, int64.
        pointers: of each class the place in its queue that the next key takes: the oldest, (K,) int64.
    """

    keys: Tensor
    labels: Tensor
    pointers: Tensor
    capacities: Tensor

    def __init__(self, capacities: Tensor, width: int) -> None:
        super().__init__()
        classes, size = len(capacities), int(capacities.sum())
        self.register_buffer("keys", functional.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("labels", torch.arange(classes).repeat_interleave(capacities), persistent=False)
        self.register_buffer("capacities", capacities.clone(), persistent=False)
        self.register_buffer("pointers", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def put(self, keys: Tensor, labels: Tensor) -> None:
        """Put ``keys`` (B, width) in one after the other, each in the queue of its class in ``labels``, (B,) int64.

        A class with more keys in the batch than its queue has places keeps the last of them.
        """
        number = torch.arange(len(keys), device=keys.device)
        before = ((labels[:, None] == labels) & (number[:, None] > number)).sum(1)
        first = self.capacities.cumsum(0) - self.capacities
        rows = first[labels] + (self.pointers[labels] + before) % self.capacities[labels]
        last = torch.full_like(self.labels, -1).scatter_reduce(0, rows, number, "amax")
        put = keys.to(self.keys.dtype)[last.clamp(min=0)]
        self.keys.copy_(torch.where(last[:, None] >= 0, put, self.keys))
        arrived = (labels[:, None] == torch.arange(len(self.pointers), device=labels.device)).sum(0)
        self.pointers.add_(arrived).remainder_(self.capacities)


def new_queue(kind: str, sizes: Tensor, keys_per_class: int, width: int) -> LabelledQueue | ClassQueues:
    """The queue of ``keys_per_class`` Q times the number of classes K that Fig. 3 calls ``kind``.

    Args:
        kind: ``balanced``, with Q keys of every class; ``reversed``, where the largest class has a share of the keys
            as large as that of the smallest in the training split, and so on, but one at least; or ``original``.
        sizes: training images of each class, (K,) int64, in any order.
        keys_per_class: Q.
        width: of a key.
    """
    total = len(sizes) * keys_per_class
    if kind == "original":
        return LabelledQueue(total, width)
    capacities = torch.full_like(sizes, keys_per_class)
    if kind == "reversed":
        shares = sizes.sort().values.double() * total / sizes.sum()
        capacities[sizes.argsort(descending=True, stable=True)] = shares.round().long().clamp(min=1)
    return ClassQueues(capacities, width)
