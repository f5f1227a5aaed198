"""MoCo + BalSfx as an objective."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.moco_balsfx import MoCoBalSfx
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

SETTINGS = {
    "classifier_init": "default", "projection_width": 3, "temperature": 0.2, "contrast_weight": 0.5,
    "queue_size": 12, "target_momentum": 0.9,
}  # fmt: skip


def test_the_loss_is_softmax_of_the_first_view_and_the_own_key_before_the_queue():
    objective, batch = made(MoCoBalSfx, **SETTINGS), labelled_batch()
    updates(objective, [labelled_batch(1)])  # the networks part
    before, queue = copy.deepcopy(objective), objective.queue.keys.clone()
    h = objective.backbone(batch.views[0])
    logits, q = objective.classifier(h), unit(objective.projector(h))
    for slow, fast in [
        (before.key_backbone, objective.backbone),
        (before.key_projector, objective.projector),
    ]:
        for k, p in zip(slow.parameters(), fast.parameters(), strict=True):
            k.data = 0.9 * k.data + 0.1 * p.data
    key = unit(before.key_projector(before.key_backbone(batch.views[1])))
    columns = torch.cat([(q * key).sum(1, keepdim=True), q @ queue.T], dim=1) / 0.2
    own = torch.arange(13).expand(8, -1) == 0
    expected = logit_adjusted(logits, batch.labels[0], SIZES) + 0.5 * contrast(columns, own).mean()
    objective.zero_grad()
    loss = objective.loss(batch)["loss"]
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(objective.queue.keys[(8 + torch.arange(8)) % 12], key)
    loss.backward()
    assert all(name.startswith("key_") for name in unlearned(objective))
    trained = objective.parameter_groups()[0]["params"]
    learning = (objective.backbone, objective.classifier, objective.projector)
    assert len(trained) == sum(len(list(network.parameters())) for network in learning)


def test_a_step_waits_for_no_value():
    step_without_values(made(MoCoBalSfx, **SETTINGS), 8, 2, 5, 5, labels=torch.arange(8) % 4)


@pytest.mark.parametrize(("name", "value"), [("queue_size", 0), ("target_momentum", 1.5)])
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(LongtailError, match=f"{name} is {value}"):
        MoCoBalSfx.Settings(**{**SETTINGS, name: value})
