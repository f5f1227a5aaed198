"""LADE and De-confound-TDE as objectives: on two last blocks, with a loss or a classifier of their own."""

from __future__ import annotations

import copy
import dataclasses
import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.lade import lade
from longtail.methods.recognition.deconfound import DeconfoundTDE, memory
from longtail.methods.recognition.lade import LADE
from longtail.models.backbones import new_backbone
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

BACKBONE = functools.partial(new_backbone, "resnet_small", "cifar", 2)
OF_LADE = {"alpha": 0.1, "remine_lambda": 0.01, "classifier_init": "default", "last_blocks": 2}
OF_TDE = {"groups": 2, "scale": 16.0, "gamma": 1 / 32, "alpha": 1.5, "mu": 0.9, "last_blocks": 2}
OBJECTIVES = [(LADE, OF_LADE), (DeconfoundTDE, OF_TDE)]


def a(kind, settings):
    return made(kind, new_backbone=BACKBONE, **settings)


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_the_loss_is_that_of_the_logits(kind, settings):
    objective, batch = a(kind, settings), labelled_batch()
    parts, labels = objective.loss(batch), batch.labels[0]
    h, logits = objective.encoder("backbone")(batch.views[0])
    assert h.shape == (8, 128)
    expected = lade(logits, labels, SIZES, 0.1, 0.01) if kind is LADE else cross_entropy(logits, labels)
    torch.testing.assert_close(parts["loss"], expected)
    right = (logits.argmax(1) == labels).double().mean()
    assert parts["accuracy"].item() == pytest.approx(100 * right.item())


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_both_branches_see_every_image_and_learn(kind, settings):
    objective = a(kind, settings)
    objective.loss(labelled_batch())["loss"].backward()
    assert unlearned(objective) == []


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_one_last_block_is_the_plain_backbone(kind, settings):
    objective = a(kind, {**settings, "last_blocks": 1})
    plain = BACKBONE()
    assert sum(p.numel() for p in objective.network.embedder.parameters()) == sum(p.numel() for p in plain.parameters())


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_a_step_waits_for_no_value(kind, settings):
    step_without_values(a(kind, settings), 8, 2, 8, 8, labels=torch.arange(8) % 4, views=1)


def test_the_effect_of_what_was_seen_in_training_is_removed_in_evaluation():
    objective, batch = a(DeconfoundTDE, OF_TDE), labelled_batch()
    objective.loss(batch)
    h, before = objective.network(batch.views[0])
    head = objective.network.head
    assert bool(head.direction.any())
    assert not torch.allclose(head.eval()(h), before)
    head.alpha = 0.0
    torch.testing.assert_close(head(h), before)


def test_the_direction_goes_further_back_once_the_learning_rate_is_small():
    """On large sets, KaihuaTang/Long-Tailed-Recognition.pytorch: 0.9 down to a rate of 0.02, 1 at the very end."""
    assert [memory(rate) for rate in (0.2, 0.02, 0.01, 0.002, 0.0)] == pytest.approx([0.9, 0.9, 0.95, 0.99, 1.0])
    objective = a(DeconfoundTDE, {**OF_TDE, "mu": "by_learning_rate"}).train()
    slow, head = torch.zeros(128), objective.network.head
    for seed, rate in enumerate((0.2, 0.01, 0.0001)):
        batch = dataclasses.replace(labelled_batch(seed), learning_rate=rate)
        with torch.no_grad():
            h = copy.deepcopy(objective.network.embedder)(batch.views[0])
        keeps = 1 - 0.1 * min(rate * 50, 1)
        slow = torch.tensor([keeps * slow[d] + sum(h[i, d] for i in range(len(h))) / len(h) for d in range(128)])
        objective.loss(batch)
    torch.testing.assert_close(head.direction, slow, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (LADE, {**OF_LADE, "alpha": -0.1}, ["alpha", "at least 0"]),
        (LADE, {**OF_LADE, "remine_lambda": -0.1}, ["remine_lambda", "at least 0"]),
        (LADE, {**OF_LADE, "last_blocks": 0}, ["last_blocks", "at least 1"]),
        (DeconfoundTDE, {**OF_TDE, "groups": 0}, ["groups", "at least 1"]),
        (DeconfoundTDE, {**OF_TDE, "scale": 0.0}, ["scale", "above 0"]),
        (DeconfoundTDE, {**OF_TDE, "gamma": -1.0}, ["gamma", "at least 0"]),
        (DeconfoundTDE, {**OF_TDE, "mu": 1.5}, ["mu", "between 0 and 1"]),
        (DeconfoundTDE, {**OF_TDE, "mu": "by_rate"}, ["mu", "by_learning_rate"]),
    ],
)
def test_settings_that_make_no_sense(kind, settings, words):
    with pytest.raises(LongtailError) as error:
        kind.Settings(**settings)
    assert all(word in str(error.value) for word in words)


def test_a_pre_trained_backbone_learns_more_slowly_than_its_classifier():
    """hyperconnect/LADE on Places-LT: 0.001 and 0.05."""
    [together] = a(LADE, OF_LADE).parameter_groups()
    assert together["learning_rate_scale"] == 1.0
    objective = a(LADE, {**OF_LADE, "backbone_learning_rate_scale": 0.02})
    backbone, classifier = objective.parameter_groups()
    assert (backbone["learning_rate_scale"], classifier["learning_rate_scale"]) == (0.02, 1.0)
    assert [id(p) for p in classifier["params"]] == [id(p) for p in objective.network.head.parameters()]
    grouped = {id(p) for group in (backbone, classifier) for p in group["params"]}
    assert grouped == {id(p) for p in objective.parameters()}
    with pytest.raises(LongtailError, match="backbone_learning_rate_scale"):
        a(LADE, {**OF_LADE, "backbone_learning_rate_scale": 0.0})
