"""How large the tensors of a loss are: none grows with classes times classes, or with classes times the queue.

On iNaturalist there are 8142 classes, and KCL's queue has 65,536 keys: a table of both has half a billion entries.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from longtail.methods.losses.centroid_contrast import centroid_contrast, image_by_image, shares
from longtail.methods.losses.global_contrast import adaptive_temperatures, global_contrast, prototype_contrast
from longtail.methods.losses.instance_contrast import contrast_of_instances
from longtail.methods.losses.key_contrast import drawn, kcl
from longtail.methods.losses.lade import lade
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.parametric_contrast import balanced_contrast, paco
from longtail.methods.losses.reslt import reslt
from longtail.methods.losses.siamese_mining import contrast_weights, rebalanced_contrast
from longtail.methods.losses.targets import moved_centroids, tsc
from longtail.methods.recognition.gloco import class_mates
from longtail.models.class_queues import new_queue

B, K, Q, D = 4, 211, 1009, 5  # many more classes than images, and many more keys than classes
MOST = 4 * B * (2 * B + K + Q)
"""Entries of the largest tensor that a loss may make: a few columns for each of the embeddings of a batch."""


class Largest(TorchDispatchMode):
    """Remembers how many entries the largest tensor had that was made."""

    entries = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if isinstance(one, Tensor):
                self.entries = max(self.entries, one.numel())
        return made


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def rows(count: int) -> Tensor:
    return unit(torch.randn(count, D, generator=draws())).requires_grad_()


Y = torch.arange(B) * 7
PAST_Y = torch.arange(Q) % K
SIZES = torch.arange(1, K + 1).flip(0)


def a_kcl() -> Tensor:
    return kcl(rows(B), rows(B).detach(), Y, rows(Q).detach(), PAST_Y, 6, 0.07, draws())


def a_tsc() -> Tensor:
    query, targets = rows(B), rows(K).detach()
    moved_centroids(targets, query.detach(), Y)
    queue = (rows(Q).detach(), PAST_Y)
    return tsc(query, rows(B).detach(), Y, *queue, targets, torch.arange(K), 6, 0.07, 0.2, True, draws())


def a_gloco() -> Tensor:
    class_mates(torch.zeros_like(Y), SIZES[Y], 3, draws())
    taus, same = adaptive_temperatures(SIZES, 0.07)[Y], drawn(Y[:, None] == PAST_Y, 0, draws())
    contrast = global_contrast(rows(B), [rows(B).detach()] * 4, rows(Q).detach(), same, taus)
    return contrast + prototype_contrast([rows(B)] * 2, [rows(K).detach()] * 2, Y, taus)


def a_bcl() -> Tensor:
    return balanced_contrast(rows(B), rows(B), rows(K), Y, 0.07)


def a_paco() -> Tensor:
    logits = torch.zeros(B, K, requires_grad=True)
    return paco(rows(B), rows(B).detach(), Y, rows(Q).detach(), PAST_Y, logits, SIZES, 0.05, 0.2)


def a_lade() -> Tensor:
    return lade(torch.zeros(B, K, requires_grad=True), Y, SIZES, 0.05, 0.5)


def a_reslt() -> Tensor:
    return reslt(torch.zeros(3, B, K, requires_grad=True), Y, (0, 30, 180), 0.99, Y, True)


def an_ssd() -> Tensor:
    return contrast_of_instances(rows(B), rows(B).detach(), Y, rows(Q).detach(), PAST_Y, 0.2)


def a_rescom() -> Tensor:
    queue, z = new_queue("balanced", SIZES, 2, D), rows(2 * B)
    weights = contrast_weights(SIZES, 0.99, "mean_normalised")
    loss = rebalanced_contrast(z, Y.repeat(2), queue.keys.clone(), queue.labels, weights, 0.2, 2 * B, True, (1, 50))
    queue.put(z.detach()[:B], Y)
    return loss


def an_iccl() -> Tensor:
    z, centroids = rows(B), rows(K).detach()
    image_by_image(centroids, z.detach(), Y, 0.99)
    return centroid_contrast(z, centroids, shares(Y, Y.flip(0), 0.3, K), 0.07)


@pytest.mark.parametrize(
    "loss", [a_kcl, a_tsc, a_gloco, a_bcl, a_paco, a_lade, a_reslt, an_ssd, a_rescom, an_iccl], ids=lambda f: f.__name__
)
def test_no_table_of_classes_by_classes_or_by_keys(loss: Any) -> None:
    with Largest() as largest:
        loss().backward()
    assert B * K <= largest.entries <= MOST < K * K
