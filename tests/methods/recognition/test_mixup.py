"""Mixup and Manifold Mixup as objectives: what is mixed, what is compared with what, what learns."""

from __future__ import annotations

import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.mixup import mixed_binary_cross_entropy, mixed_cross_entropy
from longtail.methods.mixing import draw_mixture
from longtail.methods.recognition.mixup import ManifoldMixup, Mixup
from longtail.models.backbones import new_backbone
from longtail.models.spreading import spread_batches
from tests.methods.pieces import mixed_forward, step_without_values
from tests.methods.recognition.pieces import made, unlearned

STAGES = functools.partial(new_backbone, "resnet_small", "cifar", 1)
OBJECTIVES = [
    (Mixup, {}, mixed_cross_entropy),
    (ManifoldMixup, {"mixed_loss": "cross_entropy"}, mixed_cross_entropy),
    (ManifoldMixup, {"mixed_loss": "binary"}, mixed_binary_cross_entropy),
]


def objective(kind, settings):
    return made(kind, new_backbone=STAGES, classifier_init="default", alpha=1.0, **settings)


def a_batch(seed):
    draws = torch.Generator().manual_seed(seed)
    images, labels = torch.randn(7, 1, 8, 8, dtype=torch.float64, generator=draws), torch.arange(7) % 4
    return Batch((images,), (torch.arange(7),), torch.Generator().manual_seed(seed), (labels,))


@pytest.mark.parametrize(("kind", "settings", "criterion"), OBJECTIVES)
def test_the_loss_is_that_of_images_mixed_where_the_generator_says(kind, settings, criterion):
    trained, seen = objective(kind, settings), set()
    for seed in range(8):
        batch, draws = a_batch(seed), torch.Generator().manual_seed(seed)
        lam, permutation = draw_mixture(7, 1.0, draws)
        depth = 0 if kind is Mixup else int(torch.randint(3, (), generator=draws))
        seen.add(depth)
        logits = trained.network.head(mixed_forward(trained.network.embedder, depth, batch.views[0], lam, permutation))
        y, other = batch.labels[0], batch.labels[0][permutation]
        parts = trained.loss(batch)
        torch.testing.assert_close(parts["loss"], criterion(logits, y, other, lam))
        right = lam * accuracy(logits, y) + (1 - lam) * accuracy(logits, other)
        torch.testing.assert_close(parts["accuracy"], right)
    assert seen == ({0} if kind is Mixup else {0, 1, 2})


@pytest.mark.parametrize(("kind", "settings", "_"), OBJECTIVES)
def test_all_of_the_network_learns(kind, settings, _):
    trained = objective(kind, settings)
    trained.loss(a_batch(0))["loss"].backward()
    assert unlearned(trained) == []


@pytest.mark.parametrize(("kind", "settings", "_"), OBJECTIVES)
def test_a_step_waits_for_no_value(kind, settings, _):
    step_without_values(objective(kind, settings), 8, 1, 8, 8, labels=torch.arange(8) % 4, views=1)


def test_processes_that_have_some_of_the_images_only_do_not_mix_within_the_backbone():
    trained = objective(*OBJECTIVES[1][:2])
    spread_batches(trained)
    with pytest.raises(LongtailError, match=r"inside the backbone.*gpu=1"):
        trained.loss(a_batch(0))


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Mixup, {"alpha": 0.0}, ["alpha", "above 0"]),
        (ManifoldMixup, {"alpha": 1.0, "mixed_loss": "hinge"}, ["mixed_loss", "hinge", "binary"]),
    ],
)
def test_settings_that_make_no_sense(kind, settings, words):
    with pytest.raises(LongtailError) as error:
        kind.Settings(classifier_init="default", **settings)
    assert all(word in str(error.value) for word in words)
