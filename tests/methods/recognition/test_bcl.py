"""BCL as an objective: three views, two losses, prototypes from the classifier."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.parametric_contrast import balanced_contrast
from longtail.methods.recognition.bcl import BCL
from longtail.models.classifiers import Cosine
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

SETTINGS = {
    "alpha": 2.0, "beta": 0.6, "temperature": 0.1, "scale": 30.0, "hidden_width": 5, "projection_width": 3,
}  # fmt: skip


def three_views(rows: int = 8) -> Batch:
    batch, third = labelled_batch(0, rows), labelled_batch(1, rows).views[0]
    y = batch.labels[0]
    return dataclasses.replace(batch, views=(*batch.views, third), rows=(*batch.rows, batch.rows[0]), labels=(y, y, y))


def test_the_loss_weighs_the_classifier_of_one_view_and_contrast_of_two():
    objective, batch = made(BCL, **SETTINGS), three_views(7)
    parts = objective.loss(batch)
    h = objective.network.embedder(torch.cat(batch.views))
    y, head = batch.labels[0], objective.network.head
    z = unit(objective.projector(h))  # normalised over all three views, as in the code
    prototypes = unit(objective.prototype_projector(head.weight))
    adjusted = logit_adjusted(head(h[:7]), y, SIZES)
    contrast = balanced_contrast(z[7:14], z[14:], prototypes, y, 0.1)
    torch.testing.assert_close(parts["loss"], 2 * adjusted + 0.6 * contrast)
    torch.testing.assert_close((parts["adjusted"], parts["contrast"]), (adjusted, contrast))
    parts["loss"].backward()
    before_normalisation = {"projector.0.bias", "prototype_projector.0.bias"}  # which takes them away again
    assert {*unlearned(objective)} <= before_normalisation


def test_logits_are_multiplied_once():
    """Trap 12: the scale is in the classifier, whose logits the readout sees, and not in the loss."""
    objective, images = made(BCL, **SETTINGS).eval(), three_views().views[0]
    network = objective.encoder("backbone")
    assert type(network.head) is Cosine
    h, logits = network(images)
    torch.testing.assert_close(logits, 30 * unit(h) @ unit(network.head.weight).T)
    torch.testing.assert_close(objective.criterion(logits, torch.zeros(8).long()),
                               logit_adjusted(logits, torch.zeros(8).long(), SIZES))  # fmt: skip


def test_a_step_waits_for_no_value():
    step_without_values(made(BCL, **SETTINGS), 8, 2, 5, 5, views=3, labels=torch.arange(8) % 4)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_make_no_sense(name):
    with pytest.raises(LongtailError, match=f"{name} is -1"):
        BCL.Settings(**{**SETTINGS, name: -1})
