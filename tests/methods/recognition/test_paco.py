"""PaCo as an objective: what its queries are contrasted with, and its two networks."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.parametric_contrast import paco
from longtail.methods.recognition.paco import PaCo
from longtail.models.classifiers import Linear
from longtail.models.headed import HeadedEncoder
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

SETTINGS = {
    "temperature": 0.1, "projection_width": 3, "queue_size": 12, "target_momentum": 0.9, "alpha": 0.05, "divided": True,
}  # fmt: skip


@pytest.mark.parametrize("divided", [True, False])
def test_the_loss_is_of_queries_keys_queue_and_centres(divided):
    objective = made(PaCo, **{**SETTINGS, "divided": divided})
    updates(objective, [labelled_batch(1)])
    before, batch = copy.deepcopy(objective), labelled_batch(2)
    parts = objective.loss(batch)
    before.move_keys()
    h = before.backbone(batch.views[0])
    y, past, logits = batch.labels[0], before.queue, before.classifier(h)
    query, key = unit(before.projector(h)), before.key(batch.views[1])
    expected = paco(query, key, y, past.keys, past.labels, logits, SIZES, 0.05, 0.1, divided)
    torch.testing.assert_close(parts["loss"], expected)
    assert parts["accuracy"] == pytest.approx(100 * (logits.argmax(1) == y).double().mean().item())
    parts["loss"].backward()
    assert all(name.startswith("key_") for name in unlearned(objective))


def test_the_readout_is_the_classifier_of_raw_logits():
    """Trap 16: log pi is added by the loss alone."""
    objective = made(PaCo, **SETTINGS).eval()
    network, images = objective.encoder("backbone"), labelled_batch().views[0]
    assert isinstance(network, HeadedEncoder)
    assert isinstance(network.head, Linear)
    torch.testing.assert_close(network(images)[1], objective.classifier(objective.backbone(images)))
    assert objective.encoder("projection").width == 3
    with pytest.raises(LongtailError, match="features of PaCo"):
        objective.encoder("logits")


def test_the_head_starts_as_in_the_code():
    """Its last layer is that of the network, with a normal start; the one before is PyTorch's."""
    torch.manual_seed(0)
    first, _, _, last = PaCo.new_projector(made(PaCo, **{**SETTINGS, "projection_width": 64}), 256)
    assert first.weight.abs().max() <= 1 / 16
    assert last.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)


def test_a_step_waits_for_no_value():
    step_without_values(made(PaCo, **SETTINGS), 8, 2, 5, 5, labels=torch.arange(8) % 4)


def test_settings_that_make_no_sense():
    with pytest.raises(LongtailError, match="alpha is -1"):
        PaCo.Settings(**{**SETTINGS, "alpha": -1})
