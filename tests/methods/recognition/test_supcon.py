"""Supervised contrast as an objective."""

from __future__ import annotations

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.contrastive import supcon
from longtail.methods.recognition.supcon import SupCon
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import labelled_batch, made, unlearned

SETTINGS = {"temperature": 0.1, "base_temperature": 0.07, "projection_width": 3}


def test_the_loss_is_of_both_views_in_one_batch():
    objective, batch = made(SupCon, **SETTINGS), labelled_batch()
    loss = objective.loss(batch)["loss"]
    both = objective.encoder("projection")(torch.cat(batch.views))
    torch.testing.assert_close(loss, supcon(both[:8], both[8:], batch.labels[0], 0.1) * 0.1 / 0.07)
    loss.backward()
    assert unlearned(objective) == []


def test_a_step_waits_for_no_value():
    step_without_values(made(SupCon, **SETTINGS), 8, 2, 5, 5, labels=torch.arange(8) % 4)


def test_features():
    objective = made(SupCon, **SETTINGS)
    assert (objective.encoder("backbone").width, objective.encoder("projection").width) == (6, 3)
    with pytest.raises(LongtailError, match="logits"):
        objective.encoder("logits")


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_make_no_sense(name):
    with pytest.raises(LongtailError, match=f"{name} is 0"):
        SupCon.Settings(**{**SETTINGS, name: 0})
