"""ResLT as an objective: three branches, one classifier, and the sum of the logits."""

from __future__ import annotations

import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.reslt import reslt
from longtail.methods.recognition.reslt import ResLT, SharedClassifier
from longtail.models.backbones import new_backbone
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import labelled_batch, made, unlearned

SETTINGS = {"beta": 0.9, "medium_from": 1, "few_from": 3, "classifier_init": "default"}
BACKBONE = functools.partial(new_backbone, "resnet_small", "cifar", 2)


def a_reslt(**changes):
    return made(ResLT, new_backbone=BACKBONE, **{**SETTINGS, **changes})


def test_the_loss_is_that_of_the_branches():
    objective, batch = a_reslt(), labelled_batch()
    for norm in objective.network.embedder.norms:
        norm.weight.data.uniform_(0.5, 2)
    parts, labels = objective.loss(batch), batch.labels[0]
    h, logits = objective.encoder("backbone")(batch.views[0])
    linear = objective.network.head.linear
    each = torch.stack([part @ linear.weight.T + linear.bias for part in h.split(64, dim=1)])
    torch.testing.assert_close(parts["loss"], reslt(each, labels, (0, 1, 3), 0.9))
    torch.testing.assert_close(logits, each[0] + each[1] + each[2])
    right = (logits.argmax(1) == labels).double().mean()
    assert parts["accuracy"].item() == pytest.approx(100 * right.item())


def test_the_classifier_is_at_hand():
    head = SharedClassifier(3, 12, 5, "default")
    h = torch.randn(2, 12)
    torch.testing.assert_close(head(h), h @ head.weight.T + head.bias)
    assert sum(p.numel() for p in head.parameters()) == 5 * 4 + 5


def test_all_of_the_network_learns():
    objective = a_reslt()
    objective.loss(labelled_batch())["loss"].backward()
    assert unlearned(objective) == []


def test_a_step_waits_for_no_value():
    step_without_values(a_reslt(), 8, 2, 8, 8, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": 1.1}, ["beta", "between 0 and 1"]),
        ({"medium_from": 0}, ["medium_from", "at least 1"]),
        ({"medium_from": 3, "few_from": 2}, ["few_from", "at least medium_from"]),
        ({"few_from": 4}, ["few_from", "below 4 classes"]),
    ],
)
def test_settings_that_make_no_sense(changes, words):
    with pytest.raises(LongtailError) as error:
        a_reslt(**changes)
    assert all(word in str(error.value) for word in words)
