"""RIDE as an objective: experts on a trunk, their mean, and what they learn from."""

from __future__ import annotations

import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import ldam_margins
from longtail.methods.losses.experts import (
    divergence_by_class,
    divergence_by_image,
    ride,
    temperatures_of_classes,
    temperatures_of_images,
)
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.recognition.experts import RIDE, ExpertClassifiers, ReweightedRIDE
from longtail.models.backbones import new_backbone
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

PLAIN = {"scale": 30.0, "largest_margin": 0.5, "experts": 2, "diversity": -0.45, "divergence": "from_mean"}
REWEIGHTED = {**PLAIN, "beta": 0.99, "temperature_spread": 0.05, "temperatures": "classes"}
BY_IMAGE = {**REWEIGHTED, "temperatures": "images", "divergence": "of_pairs"}
BACKBONE = functools.partial(new_backbone, "resnet_small", "cifar", 2)
PAIRS = {**PLAIN, "divergence": "of_pairs"}
OBJECTIVES = [(RIDE, PLAIN), (RIDE, PAIRS), (ReweightedRIDE, REWEIGHTED), (ReweightedRIDE, BY_IMAGE)]


def a_ride(kind, settings):
    return made(kind, new_backbone=BACKBONE, **settings)


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_the_loss_is_that_of_all_experts(kind, settings):
    objective, batch = a_ride(kind, settings), labelled_batch()
    parts = objective.loss(batch)
    h, mean = objective.encoder("backbone")(batch.views[0])
    width = h.shape[1] // 2
    first, second = objective.network.head.classifiers
    logits = torch.stack([first(h[:, :width]), second(h[:, width:])])
    labels = batch.labels[0]
    of = settings["divergence"]
    divergence = {
        None: lambda: divergence_by_class(logits, torch.ones(4), of),
        "classes": lambda: divergence_by_class(logits, temperatures_of_classes(SIZES, 0.05), of),
        "images": lambda: divergence_by_image(logits, labels, temperatures_of_images(SIZES, 0.05), of),
    }[settings.get("temperatures")]()
    weights = class_balanced_weights(SIZES, 0.99) if kind is ReweightedRIDE else None
    loss = ride(logits, labels, 30 * ldam_margins(SIZES, 0.5), -0.45, divergence, weights)
    torch.testing.assert_close(parts["loss"], loss)
    torch.testing.assert_close(parts["divergence"], divergence)
    torch.testing.assert_close(mean, (logits[0] + logits[1]) / 2)
    right = (mean.argmax(1) == labels).double().mean()
    assert parts["accuracy"].item() == pytest.approx(100 * right.item())


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_all_of_the_network_learns(kind, settings):
    objective = a_ride(kind, settings)
    objective.loss(labelled_batch())["loss"].backward()
    assert unlearned(objective) == []


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_a_step_waits_for_no_value(kind, settings):
    step_without_values(a_ride(kind, settings), 8, 2, 8, 8, labels=torch.arange(8) % 4, views=1)


def test_one_goes_on_from_the_other_with_every_weight_and_none_of_its_own():
    plain, reweighted = a_ride(RIDE, PLAIN), a_ride(ReweightedRIDE, REWEIGHTED)
    assert plain.state_dict().keys() == reweighted.state_dict().keys()


def test_the_classifiers_are_at_hand():
    head = ExpertClassifiers(3, 12, 5, 30.0)
    assert head.weight.shape == (5, 12)
    assert head.bias is None
    assert torch.equal(head.weight[:, 4:8], head.classifiers[1].weight)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (RIDE, {**PLAIN, "experts": 0}, ["experts", "at least 1"]),
        (RIDE, {**PLAIN, "scale": 0.0}, ["scale", "above 0"]),
        (ReweightedRIDE, {**REWEIGHTED, "beta": 1.0}, ["beta", "below 1"]),
        (ReweightedRIDE, {**REWEIGHTED, "temperature_spread": 1.0}, ["temperature_spread", "below 1"]),
        (RIDE, {**PLAIN, "divergence": "mean"}, ["divergence", "from_mean", "of_pairs"]),
        (ReweightedRIDE, {**REWEIGHTED, "temperatures": "experts"}, ["temperatures", "classes", "images"]),
    ],
)
def test_settings_that_make_no_sense(kind, settings, words):
    with pytest.raises(LongtailError) as error:
        kind.Settings(**settings)
    assert all(word in str(error.value) for word in words)


def test_temperatures_of_images_may_fall_too_low():
    with pytest.raises(LongtailError, match=r"temperature_spread is 0\.9; it must be so small that"):
        a_ride(ReweightedRIDE, {**BY_IMAGE, "temperature_spread": 0.9})
    a_ride(ReweightedRIDE, {**REWEIGHTED, "temperature_spread": 0.9})  # those of classes do not
