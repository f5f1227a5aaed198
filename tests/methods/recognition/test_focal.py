"""Focal and class-balanced losses as objectives."""

from __future__ import annotations

import math

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.focal import focal, sigmoid_focal
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.recognition.focal import ClassBalancedCrossEntropy, ClassBalancedFocal, Focal
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

WEIGHTS = class_balanced_weights(SIZES, 0.99)
OBJECTIVES = [
    (Focal, {"gamma": 2.0}, lambda s, y: focal(s, y, 2.0)),
    (ClassBalancedCrossEntropy, {"beta": 0.99}, lambda s, y: focal(s, y, 0.0, WEIGHTS)),
    (ClassBalancedFocal, {"beta": 0.99, "gamma": 1.0}, lambda s, y: sigmoid_focal(s, y, 1.0, WEIGHTS)),
]


@pytest.mark.parametrize(("kind", "settings", "expected"), OBJECTIVES)
def test_the_loss_is_that_of_the_logits_and_all_of_the_network_learns(kind, settings, expected):
    objective, batch = made(kind, classifier_init="kaiming", **settings), labelled_batch()
    loss = objective.loss(batch)["loss"]
    _, logits = objective.encoder("backbone")(batch.views[0])
    torch.testing.assert_close(loss, expected(logits, batch.labels[0]))
    loss.backward()
    assert unlearned(objective) == []


@pytest.mark.parametrize(("kind", "settings", "_"), OBJECTIVES)
def test_a_step_waits_for_no_value(kind, settings, _):
    objective = made(kind, classifier_init="kaiming", **settings)
    step_without_values(objective, 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


def test_answers_start_from_one_over_the_classes_and_their_biases_do_not_decay():
    objective = made(ClassBalancedFocal, classifier_init="kaiming", beta=0.99, gamma=1.0)
    bias = objective.network.head.bias
    assert torch.sigmoid(bias).tolist() == pytest.approx([1 / 4] * 4)
    assert bias.tolist() == pytest.approx([-math.log(3)] * 4)
    decaying, still = objective.parameter_groups()
    assert "weight_decay" not in decaying
    assert still["weight_decay"] == 0.0
    assert [id(p) for p in still["params"]] == [id(bias)]
    assert {id(p) for p in decaying["params"]} == {id(p) for p in objective.parameters()} - {id(bias)}


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Focal, {"gamma": -1.0}, ["gamma", "at least 0"]),
        (ClassBalancedCrossEntropy, {"beta": 1.0}, ["beta", "below 1"]),
        (ClassBalancedFocal, {"beta": 0.9, "gamma": -1.0}, ["gamma", "at least 0"]),
    ],
)
def test_settings_that_make_no_sense(kind, settings, words):
    with pytest.raises(LongtailError) as error:
        kind.Settings(classifier_init="default", **settings)
    assert all(word in str(error.value) for word in words)
