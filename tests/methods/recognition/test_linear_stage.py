"""The class-balanced classifier on a frozen backbone."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import cross_entropy, ldam, ldam_margins
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.recognition.kcl import KCL
from longtail.methods.recognition.linear_stage import LinearStage
from longtail.models.classifiers import Cosine, Linear
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made
from tests.methods.recognition.test_kcl import QUEUED

STAGE = {"beta": 0.99, "classifier_init": "default", "scale": 30.0, "largest_margin": 0.5, "frozen_bn": "eval"}
BOTH = pytest.mark.parametrize(("criterion", "kind"), [("ldam", Cosine), ("ce", Linear)])


def contrasted() -> KCL:
    """A first stage after some updates, so that its statistics and weights are its own."""
    first = made(KCL, **QUEUED)
    updates(first, [labelled_batch(seed) for seed in range(3)])
    return first


@BOTH
def test_the_loss_is_balanced_by_classes_and_of_the_frozen_backbone(criterion, kind):
    first, batch = contrasted(), labelled_batch(7)
    backbone = copy.deepcopy(first.backbone).eval()
    second = made(LinearStage, first, criterion=criterion, **STAGE).train()
    assert type(second.network.head) is kind
    y, weights = batch.labels[0], class_balanced_weights(SIZES, 0.99)
    logits = second.network.head(backbone(batch.views[0]))
    expected = (
        cross_entropy(logits, y, weights)
        if criterion == "ce"
        else ldam(logits, y, 30 * ldam_margins(SIZES, 0.5), weights)
    )
    torch.testing.assert_close(second.loss(batch)["loss"], expected)


@BOTH
def test_the_head_alone_learns_and_the_backbone_stays(criterion, kind):
    first = contrasted()
    before = copy.deepcopy(first.backbone.state_dict())
    second = made(LinearStage, first, criterion=criterion, **STAGE).train()
    assert {name.split(".")[1] for name, p in second.named_parameters() if p.requires_grad} == {"head"}
    start = second.network.head.weight.detach().clone()
    updates(second, [labelled_batch(seed) for seed in range(3, 6)])
    assert not torch.equal(second.network.head.weight, start)
    after = second.encoder("backbone").embedder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@BOTH
def test_a_step_waits_for_no_value(criterion, kind):
    second = made(LinearStage, contrasted(), criterion=criterion, **STAGE).train()
    step_without_values(second, 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize(
    ("name", "value"), [("criterion", "focal"), ("beta", 1), ("scale", 0), ("largest_margin", -1), ("frozen_bn", "off")]
)
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(LongtailError, match=name):
        LinearStage.Settings(**{"criterion": "ce", **STAGE, name: value})
