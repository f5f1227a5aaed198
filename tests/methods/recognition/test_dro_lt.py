"""DRO-LT as objectives: what goes on learning in each stage, from which state, and by what."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.robust import robust
from longtail.methods.recognition.dro_lt import DROLT, DROLTClassifier
from longtail.methods.recognition.reweighting import LDAM, CrossEntropy
from tests.methods.pieces import TheseImages, step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

SETTINGS = {"temperature": 0.7, "margin": "misaligned"}


def first() -> CrossEntropy:
    objective = made(CrossEntropy, classifier_init="kaiming")
    updates(objective, [labelled_batch(seed) for seed in range(3)])
    return objective


def begun(**changes) -> DROLT:
    objective = made(DROLT, first(), **{**SETTINGS, **changes})
    objective.start_epoch(0, TheseImages())
    return objective


def test_means_are_of_augmented_images_class_by_class():
    objective, images = begun(), TheseImages()
    embedder = copy.deepcopy(objective.network.embedder).eval()
    features = embedder(images.images)  # the first view of TheseImages is the image itself
    for k, members in enumerate(features.split(SIZES.tolist())):
        torch.testing.assert_close(objective.means[k], members.mean(0), rtol=0, atol=1e-6)
    before = objective.means.clone()
    updates(objective, [labelled_batch(3)])
    assert torch.equal(objective.means, before)
    objective.start_epoch(1, images)
    assert not torch.equal(objective.means, before)
    assert {"means", "margins"} <= objective.state_dict().keys()


@pytest.mark.parametrize("margin", ["misaligned", "own_class"])
def test_the_loss_is_weighted_cross_entropy_and_the_robust_loss(margin):
    objective, batch = begun(margin=margin), labelled_batch(5)
    with torch.no_grad():
        objective.margins.copy_(torch.tensor([1, 0.5, 2, 0.1]))
    parts = objective.loss(batch)
    h, logits = objective.network(batch.views[0])
    y = batch.labels[0]
    away = robust(h, y, objective.means, objective.margins, 0.7, margin == "misaligned")
    torch.testing.assert_close(parts["robust"], away)
    torch.testing.assert_close(parts["loss"], cross_entropy(logits, y, SIZES / SIZES.max()) + away)


def test_the_classifier_stays_while_the_backbone_learns():
    start = first()
    head, weights = copy.deepcopy(start.network.head), copy.deepcopy(start.network.embedder.state_dict())
    objective = made(DROLT, start, **SETTINGS)
    objective.start_epoch(0, TheseImages())
    assert objective.margins.tolist() == [1.0] * 4
    for parameter in objective.parameters():
        parameter.grad = None  # what the first stage left
    objective.loss(labelled_batch(4))["loss"].backward()
    assert set(unlearned(objective)) == {"network.head.weight", "network.head.bias"}
    [group] = objective.parameter_groups()
    assert any(parameter is objective.margins for parameter in group["params"])
    updates(objective, [labelled_batch(seed) for seed in range(2)])
    assert torch.equal(objective.network.head.weight, head.weight)
    assert torch.equal(objective.network.head.bias, head.bias)
    assert all(not torch.equal(value, objective.network.embedder.state_dict()[name]) for name, value in weights.items())


def test_then_the_backbone_stays_while_the_same_classifier_goes_on():
    before = begun()
    head = before.network.head.weight.clone()
    embedder = copy.deepcopy(before.network.embedder.state_dict())
    objective = made(DROLTClassifier, before, frozen_bn="eval").train()
    assert torch.equal(objective.network.head.weight, head)
    batch = labelled_batch(6)
    _, logits = copy.deepcopy(before.network).eval()(batch.views[0])
    torch.testing.assert_close(objective.loss(batch)["loss"], cross_entropy(logits, batch.labels[0]))
    updates(objective, [batch])
    assert not torch.equal(objective.network.head.weight, head)
    assert all(torch.equal(value, objective.network.embedder.state_dict()[name]) for name, value in embedder.items())
    assert not {"margins", "means"} & objective.state_dict().keys()


def test_steps_wait_for_no_value():
    labels = torch.arange(8) % 4
    for objective in (begun(), begun(margin="own_class"), made(DROLTClassifier, begun(), frozen_bn="eval")):
        step_without_values(objective, 8, 2, 5, 5, labels=labels, views=1)


def test_updates_in_bfloat16_stay_finite_with_classes_absent():
    objective = begun().float()
    batch = labelled_batch(2, rows=3)
    y = torch.tensor([3, 3, 1])
    batch = Batch(tuple(view.float() for view in batch.views), batch.rows, batch.generator, (y, y))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        updates(objective, [batch] * 2)
    assert all(bool(value.isfinite().all()) for value in objective.state_dict().values())


@pytest.mark.parametrize(("kind", "settings"), [(DROLT, SETTINGS), (DROLTClassifier, {"frozen_bn": "eval"})])
def test_both_need_a_trained_linear_classifier(kind, settings):
    assert kind.starts == "transfer"
    with pytest.raises(LongtailError, match=r"DRO-LT goes on from a trained linear classifier: put a step such as ce"):
        made(kind, made(LDAM, scale=30.0, largest_margin=0.5), **settings)


@pytest.mark.parametrize(("name", "value"), [("temperature", 0), ("margin", "none")])
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(LongtailError, match=name):
        DROLT.Settings(**{**SETTINGS, name: value})
